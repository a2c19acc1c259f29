//! The page: a conversation, the chats beside it, and what hands and keys do to them.
//!
//! What it is: nodes made from chats, and the way from a key to a request. What it is not: how answers are shown, kept or
//! fetched, which are files of their own. The one design choice: a chat is drawn from its messages alone, so what is on the
//! screen is what is sent.

import { look, start as startAccount } from './account.js';
import { DEFAULTS, chats, create, remove, save, saveSettings, settings, touch } from './chats.js';
import { block, drawn, start as startFiles, take } from './files.js';
import { render } from './markdown.js';
import { chunks, get, key, setKey } from './server.js';

const $ = (id) => document.getElementById(id);
const make = (name, className = '', ...children) => {
  const made = document.createElement(name);
  made.className = className;
  made.append(...children);
  return made;
};
const button = (what, text, title = text) => {
  const made = make('button', 'quiet', text);
  made.dataset.do = what;
  made.title = title;
  return made;
};

let chat = chats[0] ?? create();
/** The answer that is being given: its chat, its message, its node and how to end it. */
let talking = null;
/** The message that is being changed. */
let editing = -1;
let context = 0;

// What is shown.

function drawChats() {
  const entry = (other) => {
    const item = make('div', other === chat ? 'entry here' : 'entry');
    const open = make('button', 'plain', other.title);
    open.addEventListener('click', () => show(other));
    const drop = make('button', 'plain drop', '✕');
    drop.title = drop.ariaLabel = 'Delete';
    drop.addEventListener('click', () => {
      if (!drop.classList.contains('sure')) {
        drop.classList.add('sure');
        drop.textContent = 'Delete?';
        setTimeout(() => drawChats(), 2500);
        return;
      }
      if (talking?.chat === other) stop();
      remove(other);
      show(other === chat ? (chats[0] ?? create()) : chat);
    });
    item.append(open, drop);
    return item;
  };
  $('list').replaceChildren(...chats.map(entry));
}

function show(other) {
  chat = other;
  editing = -1;
  document.body.classList.remove('show-chats');
  drawChats();
  drawTalk();
  $('talk').scrollTop = $('talk').scrollHeight;
}

function drawTalk() {
  const empty = make('div', 'empty', make('h1', '', 'What shall we talk about?'), make('p', '', 'The model runs in the memory that you give it.'));
  const messages = chat.messages.map((message, at) => drawMessage(message, at));
  $('talk').replaceChildren(...(messages.length ? messages : [empty]));
  drawFill();
}

function drawMessage(message, at) {
  const article = make('article', message.role);
  article.dataset.at = at;
  if (editing === at) {
    const text = make('textarea', 'edit');
    text.value = message.content;
    text.rows = Math.min(14, message.content.split('\n').length + 1);
    const done = button('save', message.role === 'user' ? 'Send' : 'Keep');
    done.classList.remove('quiet');
    article.append(text, make('div', 'tools on', done, button('cancel', 'Cancel')));
    return article;
  }
  const body = make('div', 'body');
  drawBody(body, message);
  const tools = make('div', 'tools');
  tools.append(button('copy', 'Copy'), button('edit', 'Edit'));
  if (message.role === 'assistant') tools.append(button('again', 'Regenerate', 'Answer again'));
  if (message.stats) tools.append(make('span', 'stats', message.stats));
  article.append(body, tools);
  return article;
}

function drawBody(body, message) {
  if (message.role === 'user') body.replaceChildren(message.content, ...(message.files ?? []).map(drawn));
  else if (talking?.message === message && !message.content) body.replaceChildren(make('span', 'dots', '● ● ●'));
  else body.replaceChildren(...render(message.content));
  if (message.error) body.append(make('p', 'wrong', message.error));
}

function drawFill() {
  const tokens = chat.messages.findLast((message) => message.tokens)?.tokens;
  $('fill').textContent = tokens && context ? `${tokens.toLocaleString('en')} of ${context.toLocaleString('en')} tokens` : '';
}

/** The text as it grows: once a frame at most, and only as long as it is on the screen. */
function drawAnswer() {
  if (!talking || talking.drawing) return;
  talking.drawing = true;
  requestAnimationFrame(() => {
    if (!talking) return;
    talking.drawing = false;
    if (talking.chat !== chat) return;
    const box = $('talk');
    const follow = box.scrollHeight - box.scrollTop - box.clientHeight < 60;
    const node = box.querySelector(`article[data-at="${chat.messages.indexOf(talking.message)}"] .body`);
    if (node) drawBody(node, talking.message);
    if (follow) box.scrollTop = box.scrollHeight;
  });
}

// What is said.

/** What the model is told: the words, and the files that go along. */
const whole = ({ content, files = [] }) => [content, ...files.map(block)].filter(Boolean).join('\n\n');

function asked() {
  const turns = chat.messages.filter((message) => message.role === 'user' || message.content);
  const messages = turns.map((message) => ({ role: message.role, content: whole(message) }));
  if (settings.system.trim()) messages.unshift({ role: 'system', content: settings.system });
  const body = { model: $('model').value, messages, stream: true, stream_options: { include_usage: true } };
  for (const name of ['temperature', 'top_p', 'top_k', 'min_p', 'repetition_penalty', 'seed', 'max_tokens']) {
    if (settings[name] !== '' && settings[name] !== null) body[name] = Number(settings[name]);
  }
  return body;
}

async function answer() {
  const body = asked();
  const message = { role: 'assistant', content: '' };
  chat.messages.push(message);
  const ours = { chat, message, control: new AbortController() };
  talking = ours;
  touch(chat);
  document.body.classList.add('talking');
  $('send').textContent = '■';
  $('send').title = $('send').ariaLabel = 'Stop (Esc)';
  drawChats();
  drawTalk();
  $('talk').scrollTop = $('talk').scrollHeight;
  look();
  let saved = performance.now();
  try {
    for await (const chunk of chunks(body, ours.control.signal)) {
      message.content += chunk.choices[0]?.delta.content ?? '';
      if (chunk.timings) message.stats = stats(chunk.timings);
      if (chunk.usage) message.tokens = chunk.usage.total_tokens;
      drawAnswer();
      if (performance.now() - saved > 1000) {
        save();
        saved = performance.now();
      }
    }
  } catch (error) {
    if (ours.control.signal.aborted) message.stats = 'stopped';
    else message.error = error.message;
    if (error.status === 401) $('settings').showModal();
  }
  talking = null;
  document.body.classList.remove('talking');
  $('send').textContent = '↑';
  $('send').title = 'Send (Enter)';
  $('send').ariaLabel = 'Send';
  save();
  if (ours.chat === chat) {
    const box = $('talk');
    const follow = box.scrollHeight - box.scrollTop - box.clientHeight < 60;
    drawTalk();
    if (follow) box.scrollTop = box.scrollHeight;
  }
  look();
}

const stats = ({ predicted_n: tokens, predicted_per_second: rate, cache_n: known, prompt_n: read }) =>
  `${tokens} tokens, ${rate.toFixed(1)} a second; ${read} of the prompt read, ${known} known`;

function stop() {
  talking?.control.abort();
}

function send() {
  const text = $('words').value.trim();
  if (talking) return;
  const files = take();
  if (!text && !files.length) return;
  $('words').value = '';
  grow();
  say(text, files);
}

function say(text, files = []) {
  chat.messages.push(files.length ? { role: 'user', content: text, files } : { role: 'user', content: text });
  answer();
}

// What hands do.

function act(what, at, article) {
  const message = chat.messages[at];
  if (what === 'copy') return copy(whole(message), article.querySelector('[data-do=copy]'));
  if (talking?.chat === chat && what !== 'cancel') stop();
  if (what === 'edit') editing = at;
  if (what === 'cancel') editing = -1;
  if (what === 'save') {
    const text = article.querySelector('textarea').value.trim();
    editing = -1;
    if (message.role === 'user') {
      chat.messages.length = at;
      if (text || message.files) return later(() => say(text, message.files));
    } else {
      chat.messages[at] = { ...message, content: text };
    }
    save();
  }
  if (what === 'again') {
    chat.messages.length = at;
    return later(answer);
  }
  drawTalk();
  $('talk').querySelector('textarea')?.focus();
}

/** Once the answer that was stopped has ended. */
function later(then) {
  if (!talking) return then();
  setTimeout(() => later(then), 20);
}

async function copy(text, from) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // Only safe origins have a clipboard; a selection has been there for longer.
    const area = make('textarea', 'away');
    area.value = text;
    document.body.append(area);
    area.select();
    document.execCommand('copy');
    area.remove();
  }
  from.textContent = 'Copied';
  setTimeout(() => { from.textContent = 'Copy'; }, 1200);
}

function grow() {
  const words = $('words');
  words.style.height = 'auto';
  words.style.height = `${Math.min(words.scrollHeight, window.innerHeight * 0.4)}px`;
}

function openSettings() {
  const form = $('settings').querySelector('form');
  for (const name of Object.keys(DEFAULTS)) form.elements[name].value = settings[name];
  form.elements.key.value = key();
  $('settings').showModal();
}

function keepSettings() {
  const form = $('settings').querySelector('form');
  for (const name of Object.keys(DEFAULTS)) settings[name] = form.elements[name].value;
  setKey(form.elements.key.value);
  saveSettings();
  drawTheme();
  drawModels();
  look();
}

function drawTheme() {
  document.documentElement.style.colorScheme = settings.theme || 'light dark';
}

async function drawModels() {
  try {
    const data = (await get('/v1/models')).data.filter((model) => model.gives === 'answers');
    const kept = $('model').value || settings.model;
    $('model').replaceChildren(...data.map((model) => new Option(model.id, model.id)));
    if (data.some((model) => model.id === kept)) $('model').value = kept;
    $('model').disabled = data.length < 2;
    context = data.find((model) => model.id === $('model').value)?.max_model_len ?? 0;
    drawFill();
  } catch (error) {
    if (error.status === 401) openSettings();
  }
}

function listen() {
  $('composer').addEventListener('submit', (event) => {
    event.preventDefault();
    if (talking) stop();
    else send();
  });
  $('words').addEventListener('input', grow);
  $('words').addEventListener('keydown', (event) => {
    if (event.key === 'Enter' && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      send();
    }
  });
  document.addEventListener('keydown', (event) => {
    if (event.key !== 'Escape' || $('settings').open) return;
    document.body.classList.remove('show-chats', 'show-account');
    if (talking) stop();
    else if (editing >= 0) act('cancel', editing);
  });
  $('talk').addEventListener('click', ({ target }) => {
    if (target.dataset?.copy !== undefined) return copy(target.dataset.copy, target);
    const article = target.closest('article');
    if (article && target.dataset?.do) act(target.dataset.do, Number(article.dataset.at), article);
  });
  $('talk').addEventListener('keydown', (event) => {
    const article = event.target.closest('article');
    if (event.key === 'Enter' && !event.shiftKey && event.target.matches('textarea.edit')) {
      event.preventDefault();
      act('save', Number(article.dataset.at), article);
    }
  });
  $('new').addEventListener('click', () => {
    show(create());
    $('words').focus();
  });
  $('model').addEventListener('change', () => {
    settings.model = $('model').value;
    saveSettings();
    drawModels();
  });
  $('open-settings').addEventListener('click', openSettings);
  $('settings').addEventListener('close', keepSettings);
  $('settings').addEventListener('click', ({ target }) => target === $('settings') && $('settings').close());
  $('defaults').addEventListener('click', () => {
    const form = $('settings').querySelector('form');
    for (const [name, value] of Object.entries(DEFAULTS)) form.elements[name].value = value;
  });
  $('open-chats').addEventListener('click', () => document.body.classList.toggle('show-chats'));
  $('open-account').addEventListener('click', () => document.body.classList.toggle('show-account'));
  for (const away of [$('veil'), ...document.querySelectorAll('.close')]) {
    away.addEventListener('click', () => document.body.classList.remove('show-chats', 'show-account'));
  }
  window.addEventListener('pagehide', save);
}

listen();
drawTheme();
show(chat);
drawModels();
startAccount();
startFiles(() => ({ model: $('model').value, context }));

//! Files that go along with what is said: chosen, or dropped on the page.
//!
//! What it is: a list beside the words, and the texts that the message will have. What it is not: an upload; a file is read here and
//! becomes part of the message. The one design choice: the server counts the tokens of a file before it is taken, so what
//! cannot fit is said at once, with the numbers.

import { post } from './server.js';

const $ = (id) => document.getElementById(id);
/** Bytes that the server takes in a body: so many, or so many a token of context. */
const BODY = 128 << 10;
const OF_TOKEN = 16;

/** What goes along with the next message: names, texts and their tokens. */
let files = [];
let facts = () => ({});

/** What a file is in a message: its name, and its text in a fence that is longer than any in it. */
export function block({ name, text }) {
  const longest = Math.max(2, ...(text.match(/`+/g) ?? []).map((marks) => marks.length));
  const fence = '`'.repeat(longest + 1);
  return `${name}:\n${fence}\n${text.replace(/\n?$/, '\n')}${fence}`;
}

/** The files, which are gone from the list then. */
export function take() {
  const taken = files;
  files = [];
  draw();
  return taken;
}

/** A file as a message shows it. */
export function drawn({ name, text, tokens }) {
  const shown = document.createElement('details');
  const head = document.createElement('summary');
  head.textContent = `${name} · ${count(tokens)}`;
  const body = document.createElement('pre');
  body.textContent = text;
  shown.append(head, body);
  return shown;
}

const count = (tokens) => `${tokens.toLocaleString('en')} tokens`;

function say(text) {
  $('files-said').textContent = text;
}

function draw() {
  const entry = (file) => {
    const drop = document.createElement('button');
    drop.type = 'button';
    drop.className = 'plain';
    drop.textContent = '✕';
    drop.ariaLabel = drop.title = `Leave out ${file.name}`;
    drop.addEventListener('click', () => {
      files = files.filter((other) => other !== file);
      say('');
      draw();
    });
    const shown = document.createElement('span');
    shown.className = 'file';
    shown.append(`${file.name} · ${count(file.tokens)}`, drop);
    return shown;
  };
  $('files').replaceChildren(...files.map(entry));
}

/** The text of a file, or why it cannot be one. */
async function read(file) {
  const { context } = facts();
  if (file.type.startsWith('image/')) throw new Error(`${file.name} is a picture, and the models here take none; attach texts`);
  if (file.size > Math.max(BODY, OF_TOKEN * context)) {
    throw new Error(`${file.name} has ${file.size.toLocaleString('en')} bytes, far more than the ${count(context)} that this model reads`);
  }
  let text;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(await file.arrayBuffer());
  } catch {
    text = '\0';
  }
  if (text.includes('\0')) throw new Error(`${file.name} is not a text in UTF-8`);
  if (!text.trim()) throw new Error(`${file.name} is empty`);
  return text;
}

async function attach(chosen) {
  say('');
  for (const file of chosen) {
    try {
      const text = await read(file);
      const { model, context } = facts();
      const content = block({ name: file.name, text });
      const { input_tokens: tokens } = await post('/v1/messages/count_tokens', { model, messages: [{ role: 'user', content }] });
      const others = files.reduce((sum, other) => sum + other.tokens, 0);
      if (context && tokens + others >= context) {
        const beside = others ? ` beside the ${count(others)} of the others` : '';
        throw new Error(`${file.name} has ${count(tokens)}${beside}, but this model reads ${context.toLocaleString('en')} at most; serve it with a larger -c`);
      }
      files.push({ name: file.name, text, tokens });
      draw();
    } catch (error) {
      return say(error.status === 413 ? `${file.name} is too large: ${error.message}` : error.message);
    }
  }
  $('words').focus();
}

/** Listens; `tell` gives the model and its context. */
export function start(tell) {
  facts = tell;
  $('attach').addEventListener('click', () => $('file').click());
  $('file').addEventListener('change', () => {
    attach([...$('file').files]);
    $('file').value = '';
  });
  const carries = (event) => event.dataTransfer?.types.includes('Files');
  document.addEventListener('dragover', (event) => {
    if (!carries(event)) return;
    event.preventDefault();
    document.body.classList.add('dropping');
  });
  document.addEventListener('dragleave', (event) => event.relatedTarget || document.body.classList.remove('dropping'));
  document.addEventListener('drop', (event) => {
    document.body.classList.remove('dropping');
    if (!carries(event)) return;
    event.preventDefault();
    attach([...event.dataTransfer.files]);
  });
}

//! The account of memory as a pot: what is in it, how fast it flows, and how large it is.
//!
//! What it is: the figures of `/v1/pintpot/status`, drawn, and a slider that asks for another budget. What it is not:
//! arithmetic of memory; all bytes are the server's. The one design choice: rates are differences between two looks, so what
//! is shown is what happened.

import { get, post } from './server.js';

const $ = (id) => document.getElementById(id);

/** Layers from the bottom, and the lines of the ledger that they are made of. */
const LAYERS = [
  ['weights', 'weights kept', ['weights']],
  ['experts', 'experts kept', ['experts']],
  ['window', 'weights read ahead', ['window']],
  ['state', 'keys and values', ['state']],
  ['activations', 'activations', ['activations']],
  ['tokenizer', 'tokenizer', ['tokenizer']],
  ['program', 'program', ['program']],
  ['other', 'all else', ['kernel', 'heap', 'io', 'connections', 'slack']],
  ['free', 'free', []],
];
const HEIGHT = 196;
const TOP = 14;
/** Milliseconds over which rates are taken. */
const SPAN = 2500;

const svg = (name, attributes) => {
  const made = document.createElementNS('http://www.w3.org/2000/svg', name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
};

export const bytes = (n) => {
  if (n >= 2 ** 30) return `${(n / 2 ** 30).toFixed(2)} GiB`;
  if (n >= 2 ** 20) return `${(n / 2 ** 20).toFixed(1)} MiB`;
  return n >= 1024 ? `${(n / 1024).toFixed(0)} KiB` : `${n} B`;
};

const rects = {};
const rows = {};
let looks = [];
let sliding = false;
let asking = false;
let last = null;

function build() {
  const glass = 'M8 12 L92 12 L84 212 Q83.5 216 79 216 L21 216 Q16.5 216 16 212 Z';
  const clip = svg('clipPath', { id: 'glass' });
  clip.append(svg('path', { d: glass }));
  const handle = svg('path', { d: 'M90 58 h14 a14 14 0 0 1 14 14 v52 a14 14 0 0 1 -14 14 h-17', class: 'handle' });
  const inside = svg('g', { 'clip-path': 'url(#glass)' });
  inside.append(svg('path', { d: glass, class: 'p-free' }));
  for (const [name, title] of LAYERS) {
    if (name !== 'free') {
      rects[name] = svg('rect', { x: 0, width: 100, y: TOP + HEIGHT, height: 0, class: `p-${name}` });
      inside.append(rects[name]);
    }
    const term = document.createElement('dt');
    const value = document.createElement('dd');
    const dot = document.createElement('i');
    dot.className = `p-${name}`;
    term.append(dot, title);
    rows[name] = { term, value };
    $('parts').append(term, value);
  }
  rects.foam = svg('rect', { x: 0, width: 100, y: TOP + HEIGHT, height: 4, class: 'foam' });
  inside.append(rects.foam);
  const all = svg('g', { id: 'size' });
  all.append(clip, handle, inside, svg('path', { d: glass, class: 'glass' }));
  $('pot').append(all);
}

/** Differences between now and a moment ago; null where nothing happened. */
function rates(status) {
  const now = performance.now();
  if (!status.requests.running) looks = [];
  looks.push({ now, ...status.so_far });
  looks = looks.filter((look) => now - look.now < SPAN);
  const first = looks[0];
  const [seconds, tokens] = [(now - first.now) / 1000, status.so_far.answer_tokens - first.answer_tokens];
  if (!(tokens > 0 && seconds > 0.2)) return null;
  return { rate: tokens / seconds, read: (status.so_far.flash_bytes - first.flash_bytes) / tokens };
}

function draw(status) {
  const held = Object.fromEntries(status.ledger.map(({ part, bytes }) => [part, bytes]));
  const budget = status.budget_bytes;
  let used = 0;
  for (const [name, , parts] of LAYERS) {
    const size = name === 'free' ? Math.max(0, budget - used) : parts.reduce((sum, part) => sum + (held[part] ?? 0), 0);
    used += size;
    if (rects[name]) {
      const height = (size / budget) * HEIGHT;
      rects[name].style.height = `${height}px`;
      rects[name].style.y = `${TOP + HEIGHT * (1 - used / budget) + 6}px`;
      rects.foam.style.y = `${TOP + HEIGHT * (1 - used / budget) + 3}px`;
    }
    const { term, value } = rows[name];
    value.textContent = bytes(size);
    value.dataset.bytes = size;
    term.hidden = value.hidden = size === 0;
  }
  const share = Math.min(1, (budget - (held.slack ?? 0) - (rows.free.value.dataset.bytes | 0)) / budget);
  $('gauge').firstChild.style.width = `${100 * share}%`;
  $('gauge-text').textContent = bytes(budget);
  drawWeights(status.weights);
  drawFigures(status);
  drawBudget(status);
}

function drawWeights({ resident_bytes: resident, streamed_bytes: streamed }) {
  const text = streamed
    ? `Of the weights ${bytes(resident)} stay in memory; ${bytes(streamed)} are read from disk as they are needed.`
    : `All ${bytes(resident)} of weights are in memory; nothing is read from disk.`;
  const bar = document.createElement('i');
  bar.style.width = `${(100 * resident) / Math.max(1, resident + streamed)}%`;
  const track = document.createElement('div');
  track.className = streamed ? 'track' : 'track full';
  track.append(bar);
  $('weights').replaceChildren(track, text);
}

function drawFigures(status) {
  const busy = status.requests.running > 0;
  const now = rates(status);
  if (now) last = now;
  // What was seen last stays, paler, until there is something new.
  const shown = now ?? last ?? { rate: status.forecast.tokens_per_second, read: status.forecast.flash_bytes_per_token };
  $('rate').textContent = shown.rate >= 100 ? shown.rate.toFixed(0) : shown.rate.toFixed(1);
  $('read').textContent = bytes(Math.round(shown.read));
  $('running').textContent = status.requests.running;
  $('waiting').textContent = status.requests.waiting;
  $('figures').classList.toggle('idle', !busy);
  $('figures').title = last ? 'as measured' : 'as foretold, before anything was measured';
}

function drawBudget(status) {
  const { budget_bytes: budget, smallest_budget_bytes: least, useful_budget_bytes: useful, largest_budget_bytes: largest } = status;
  const most = Math.max(budget, Math.min(largest, Math.ceil(useful * 1.1)));
  const slider = $('slider');
  if (!sliding && !asking) {
    slider.min = least;
    slider.max = most;
    slider.step = Math.max(1, Math.round((most - least) / 400));
    slider.value = budget;
    if (document.activeElement !== $('amount')) $('amount').value = bytes(budget);
  }
  $('least').textContent = `${bytes(least)} is the least`;
  $('most').textContent = bytes(most);
  const size = most > least ? (budget - least) / (most - least) : 1;
  $('size').style.transform = `scale(${0.62 + 0.38 * Math.min(1, Math.max(0, size))})`;
}

/** Asks for another budget. */
async function change(memory) {
  asking = true;
  $('budget').classList.add('asking');
  try {
    draw(await post('/v1/pintpot/memory', { memory }));
    say('');
  } catch (error) {
    const least = error.facts?.smallest_budget_bytes;
    say(least ? `That is too little: ${bytes(least)} is the least just now.` : error.message, true);
  }
  asking = false;
  $('budget').classList.remove('asking');
  look();
}

function say(text, wrong = false) {
  $('said').textContent = text;
  $('said').classList.toggle('wrong', wrong);
}

let timer = 0;

/** Looks at the account now, and then again and again, more often while somebody is being answered. */
export async function look() {
  clearTimeout(timer);
  let soon = 3000;
  try {
    if (!document.hidden) {
      const status = await get('/v1/pintpot/status');
      draw(status);
      document.body.classList.remove('away');
      soon = status.requests.running ? 400 : 1500;
    }
  } catch {
    document.body.classList.add('away');
  }
  clearTimeout(timer);
  timer = setTimeout(look, soon);
}

export function start() {
  build();
  const slider = $('slider');
  slider.addEventListener('input', () => {
    sliding = true;
    $('amount').value = bytes(Number(slider.value));
  });
  slider.addEventListener('change', () => {
    sliding = false;
    change(Number(slider.value));
  });
  $('amount').addEventListener('change', () => change($('amount').value));
  $('budget').addEventListener('submit', (event) => {
    event.preventDefault();
    $('amount').blur();
  });
  document.addEventListener('visibilitychange', look);
  look();
}

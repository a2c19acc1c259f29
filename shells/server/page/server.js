//! The routes that the page knows: the same ones as everybody else's.
//!
//! What it is: requests, refusals in words, and a stream of events. What it is not: the page. The one design choice: a key is
//! kept as long as the tab is open, and no longer.

const KEY = 'pintpot.key';

/** Why the server did not do what it was asked. */
export class Refused extends Error {
  constructor(status, error) {
    super(error?.message ?? `the server answered with status ${status}`);
    this.status = status;
    this.facts = error ?? {};
  }
}

export const key = () => sessionStorage.getItem(KEY) ?? '';
export const setKey = (text) => sessionStorage.setItem(KEY, text.trim());

async function send(path, { body, signal } = {}) {
  const headers = {};
  if (key()) headers.Authorization = `Bearer ${key()}`;
  if (body) headers['Content-Type'] = 'application/json';
  const reply = await fetch(path, { method: body ? 'POST' : 'GET', headers, signal, body: body && JSON.stringify(body) });
  if (reply.ok) return reply;
  const said = await reply.json().catch(() => null);
  throw new Refused(reply.status, said?.error);
}

export const get = async (path) => (await send(path)).json();
export const post = async (path, body) => (await send(path, { body })).json();

/** The chunks of an answer, as they come. */
export async function* chunks(body, signal) {
  const reply = await send('/v1/chat/completions', { body, signal });
  const reader = reply.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = '';
  for (;;) {
    const { value, done } = await reader.read();
    if (done) throw new Error('the answer broke off');
    text += value;
    const events = text.split('\n\n');
    text = events.pop();
    for (const event of events) {
      if (!event.startsWith('data: ')) continue;
      if (event === 'data: [DONE]') return;
      const chunk = JSON.parse(event.slice(6));
      if (chunk.error) throw new Refused(500, chunk.error);
      yield chunk;
    }
  }
}

//! Chats and settings, as this browser keeps them.
//!
//! What it is: two entries of its local storage. What it is not: anything that the server knows. The one design choice: what
//! does not fit any more pushes out the oldest chat, so that the one at hand is always kept.

const CHATS = 'pintpot.chats';
const SETTINGS = 'pintpot.settings';

export const DEFAULTS = {
  system: 'You are a helpful AI assistant.', temperature: 0.7, top_p: 0.95, top_k: '', min_p: '', repetition_penalty: '', seed: '', max_tokens: '', theme: '',
};

const read = (name) => {
  try {
    return JSON.parse(localStorage.getItem(name));
  } catch {
    return null;
  }
};

/** All chats, the newest first; each has an id, a title and messages with role and content. */
export const chats = (read(CHATS) ?? []).filter((chat) => Array.isArray(chat?.messages));
export const settings = { ...DEFAULTS, ...read(SETTINGS) };

export function save() {
  let kept = chats.filter((chat) => chat.messages.length);
  while (kept.length) {
    try {
      return localStorage.setItem(CHATS, JSON.stringify(kept));
    } catch {
      kept = kept.slice(0, -1);
    }
  }
  localStorage.removeItem(CHATS);
}

export const saveSettings = () => localStorage.setItem(SETTINGS, JSON.stringify(settings));

export function create() {
  const empty = chats.find((chat) => !chat.messages.length);
  if (empty) return empty;
  const chat = { id: crypto.getRandomValues(new Uint32Array(2)).join('-'), title: 'New chat', messages: [] };
  chats.unshift(chat);
  return chat;
}

export function remove(chat) {
  chats.splice(chats.indexOf(chat), 1);
  save();
}

/** A chat that goes on is the newest, and is called by what was asked first. */
export function touch(chat) {
  const first = chat.messages.find((message) => message.role === 'user');
  if (first) chat.title = (first.content.trim() || first.files?.[0].name || '').split('\n')[0].slice(0, 60);
  chats.splice(chats.indexOf(chat), 1);
  chats.unshift(chat);
  save();
}

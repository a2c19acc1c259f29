//! Markdown as nodes of a page.
//!
//! What it is: paragraphs, headings, lists, tables, quotes, code, emphasis and links. What it is not: HTML; whatever looks like
//! it is text. The one design choice: texts become text nodes and nothing is ever parsed as HTML, so a model can show
//! what it likes and run nothing.

const FENCE = /^ {0,3}(`{3,}|~{3,})\s*([\w+#.-]*)/;
const HEADING = /^ {0,3}(#{1,6})\s+(.*?)\s*#*$/;
const RULE = /^ {0,3}([-*_])(?:\s*\1){2,}\s*$/;
const ITEM = /^(\s*)([-*+]|\d{1,9}[.)])\s+(.*)$/;
const QUOTE = /^ {0,3}> ?(.*)$/;
const DIVIDER = /^\s*\|?\s*:?-+:?\s*(\|\s*:?-+:?\s*)*\|?\s*$/;

const node = (name, children = [], className = '') => {
  const made = document.createElement(name);
  if (className) made.className = className;
  made.append(...children);
  return made;
};

/** The text as a list of nodes. */
export function render(text) {
  const thought = /^\s*<think>\n?([\s\S]*?)(<\/think>\s*|$)/.exec(text);
  if (!thought) return blocks(text.split('\n'));
  const details = node('details', [node('summary', ['Thoughts']), ...blocks(thought[1].split('\n'))], 'thought');
  details.open = !thought[2];
  return [details, ...blocks(text.slice(thought[0].length).split('\n'))];
}

function blocks(lines, depth = 0) {
  const out = [];
  const starts = (line) => FENCE.test(line) || HEADING.test(line) || RULE.test(line) || QUOTE.test(line) || ITEM.test(line);
  let at = 0;
  while (at < lines.length) {
    const line = lines[at];
    let found;
    if (!line.trim()) {
      at += 1;
    } else if ((found = FENCE.exec(line))) {
      const [, mark, language] = found;
      let end = at + 1;
      while (end < lines.length && !new RegExp(`^ {0,3}${mark[0]}{${mark.length},}\\s*$`).test(lines[end])) end += 1;
      out.push(code(lines.slice(at + 1, end).join('\n'), language));
      at = end + 1;
    } else if ((found = HEADING.exec(line))) {
      out.push(node(`h${Math.min(found[1].length + 1, 6)}`, inline(found[2])));
      at += 1;
    } else if (RULE.test(line)) {
      out.push(node('hr'));
      at += 1;
    } else if (QUOTE.test(line) && depth < 8) {
      const inner = [];
      for (; at < lines.length && (found = QUOTE.exec(lines[at])); at += 1) inner.push(found[1]);
      out.push(node('blockquote', blocks(inner, depth + 1)));
    } else if (ITEM.test(line) && depth < 8) {
      const [made, end] = list(lines, at, depth);
      out.push(made);
      at = end;
    } else if (line.includes('|') && DIVIDER.test(lines[at + 1] ?? '') && lines[at + 1].includes('-')) {
      let end = at + 2;
      while (end < lines.length && lines[end].includes('|')) end += 1;
      out.push(table(lines.slice(at, end)));
      at = end;
    } else {
      let end = at + 1;
      while (end < lines.length && lines[end].trim() && !starts(lines[end])) end += 1;
      out.push(node('p', inline(lines.slice(at, end).join('\n'))));
      at = end;
    }
  }
  return out;
}

/** A list that begins at a line, and where it ends. */
function list(lines, at, depth) {
  const [, indent, mark] = ITEM.exec(lines[at]);
  const ordered = /\d/.test(mark);
  const made = node(ordered ? 'ol' : 'ul');
  if (ordered) made.start = parseInt(mark, 10);
  const deeper = (line) => line.startsWith(`${indent}  `) || line.startsWith(`${indent}\t`);
  while (at < lines.length) {
    const found = ITEM.exec(lines[at]);
    if (!found || found[1].length > indent.length + 1 || found[1].length < indent.length || /\d/.test(found[2]) !== ordered) break;
    const inner = [found[3]];
    at += 1;
    while (at < lines.length && (deeper(lines[at]) || (!lines[at].trim() && deeper(lines[at + 1] ?? '')))) {
      inner.push(lines[at].replace(/^(\t| {1,4})/, '').slice(0));
      at += 1;
    }
    const content = blocks(inner, depth + 1);
    // One paragraph needs no room of its own.
    const [first, ...rest] = content;
    const tight = first?.tagName === 'P' ? [...first.childNodes, ...rest] : content;
    made.append(node('li', tight));
    while (at < lines.length && !lines[at].trim() && ITEM.test(lines[at + 1] ?? '')) at += 1;
  }
  return [made, at];
}

function table(lines) {
  const cells = (line) => line.trim().replace(/^\||\|$/g, '').split(/(?<!\\)\|/).map((cell) => cell.trim().replace(/\\\|/g, '|'));
  const sides = cells(lines[1]).map((cell) => (cell.endsWith(':') ? (cell.startsWith(':') ? 'center' : 'right') : ''));
  const row = (line, name) => node('tr', cells(line).map((cell, n) => node(name, inline(cell), sides[n] ?? '')));
  const body = node('tbody', lines.slice(2).map((line) => row(line, 'td')));
  return node('div', [node('table', [node('thead', [row(lines[0], 'th')]), body])], 'table');
}

const MARKS = [
  [/^\\([\\`*_{}[\]()#+.!|~<>-])/, (m) => m[1]],
  [/^(`+)([\s\S]*?[^`])\1(?!`)/, (m) => node('code', [m[2].replace(/^ (.+) $/, '$1')])],
  [/^(\*\*|__)(?=\S)([\s\S]*?\S)\1/, (m, depth) => node('strong', inline(m[2], depth + 1))],
  [/^\*(?=[^\s*])([\s\S]*?[^\s*])\*(?!\*)/, (m, depth) => node('em', inline(m[1], depth + 1))],
  [/^_(?=[^\s_])([\s\S]*?[^\s_])_(?!\w)/, (m, depth) => node('em', inline(m[1], depth + 1))],
  [/^~~(?=\S)([\s\S]*?\S)~~/, (m, depth) => node('del', inline(m[1], depth + 1))],
  [/^\[([^\]\n]+)\]\(\s*<?([^\s)>]+)>?[^)]*\)/, (m, depth) => link(m[2], inline(m[1], depth + 1)) ?? m[0]],
  [/^https?:\/\/[^\s<>"')\]]*[^\s<>"')\].,;:!?]/, (m) => link(m[0], [m[0]])],
];

function inline(text, depth = 0) {
  const out = [];
  let plain = '';
  let at = 0;
  while (at < text.length) {
    const inWord = at > 0 && /\w/.test(text[at - 1]);
    let found = null;
    if (depth < 8 && '\\`*_~[h'.includes(text[at]) && !(inWord && '_h'.includes(text[at]))) {
      const rest = text.slice(at);
      for (const [pattern, make] of MARKS) {
        const match = pattern.exec(rest);
        if (!match) continue;
        found = make(match, depth);
        at += match[0].length;
        break;
      }
    }
    if (found === null) plain += text[at++];
    else if (typeof found === 'string') plain += found;
    else {
      out.push(plain, found);
      plain = '';
    }
  }
  out.push(plain);
  return out.filter((part) => part !== '');
}

function link(address, children) {
  if (!/^(https?:\/\/|mailto:)/i.test(address)) return null;
  const made = node('a', children);
  made.href = address;
  made.target = '_blank';
  made.rel = 'noopener noreferrer nofollow';
  return made;
}

const WORDS =
  'as|async|await|bool|break|case|catch|char|class|const|continue|def|default|do|double|elif|else|enum|except|export|extends|false|False|'
  + 'final|finally|float|fn|for|from|func|function|if|impl|import|in|int|interface|is|lambda|let|long|match|mod|mut|new|nil|None|not|null|'
  + 'or|and|package|pass|print|private|protected|pub|public|raise|ref|return|self|Self|static|struct|super|switch|this|throw|trait|true|True|'
  + 'try|type|typeof|use|var|void|where|while|with|yield|SELECT|FROM|WHERE|INSERT|UPDATE|DELETE|JOIN|GROUP|ORDER|BY|echo|then|fi|done|end';
const HASHES = /^(py|python|sh|bash|shell|zsh|yaml|yml|toml|ruby|rb|r|perl|make|makefile|dockerfile|conf|ini)$/i;
const STRINGS = '"(?:\\\\.|[^"\\\\\\n])*"?|\'(?:\\\\.|[^\'\\\\\\n])*\'|`(?:\\\\.|[^`\\\\])*`';

/** Code with its language and a way to copy it; words, texts, numbers and notes are coloured alike in all languages. */
function code(text, language) {
  const note = HASHES.test(language) ? '#.*' : /^(sql|lua|haskell|hs)$/i.test(language) ? '--.*' : '//.*|/\\*[\\s\\S]*?(?:\\*/|$)';
  const pattern = new RegExp(`(${note})|(${STRINGS})|(\\b\\d[\\w.]*)|\\b(${WORDS})\\b`, 'g');
  const inner = node('code');
  let at = 0;
  if (language && !/^(text|txt|plain|markdown|md)$/i.test(language)) {
    for (const match of text.matchAll(pattern)) {
      const kind = ['note', 'text', 'number', 'word'][[1, 2, 3, 4].findIndex((n) => match[n] !== undefined)];
      inner.append(text.slice(at, match.index), node('span', [match[0]], kind));
      at = match.index + match[0].length;
    }
  }
  inner.append(text.slice(at));
  const copy = node('button', ['Copy'], 'quiet');
  copy.dataset.copy = text;
  return node('figure', [node('figcaption', [node('span', [language]), copy]), node('pre', [inner])], 'code');
}

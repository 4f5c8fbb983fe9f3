// The application under test: a small guest book with server-rendered HTML.
import { createServer } from 'node:http';

const escapes = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };
const escape = (text) => text.replace(/[&<>"']/g, (character) => escapes[character]);

function page(entries, error = '', draft = { name: '', message: '' }) {
  const list = entries
    .map((e) => `<li><strong>${escape(e.name)}</strong>: <span>${escape(e.message)}</span></li>`)
    .join('');
  return `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Guest book</title></head>
<body><h1>Guest book</h1>
${error ? `<p role="alert">${escape(error)}</p>` : ''}
<form method="post" action="/entries">
  <label>Name <input name="name" value="${escape(draft.name)}"></label>
  <label>Message <input name="message" value="${escape(draft.message)}"></label>
  <button>Sign</button>
</form>
<h2>Entries (${entries.length})</h2><ul aria-label="Entries">${list}</ul></body></html>`;
}

async function readForm(request, limit = 10_000) {
  let body = '';
  for await (const chunk of request.setEncoding('utf8')) {
    body += chunk;
    if (body.length > limit) throw new RangeError('form too large');
  }
  const form = new URLSearchParams(body);
  return { name: (form.get('name') ?? '').trim(), message: (form.get('message') ?? '').trim() };
}

export function createApp() {
  const entries = [];
  return createServer(async (request, response) => {
    const html = (status, text) =>
      response.writeHead(status, { 'Content-Type': 'text/html; charset=utf-8' }).end(text);
    try {
      if (request.method === 'GET' && request.url === '/') return html(200, page(entries));
      if (request.method === 'POST' && request.url === '/entries') {
        const draft = await readForm(request);
        if (!draft.name || !draft.message) {
          return html(422, page(entries, 'Please fill in both fields.', draft));
        }
        entries.unshift(draft);
        return response.writeHead(303, { Location: '/' }).end(); // a reload will not post again
      }
      return html(404, 'Not found');
    } catch (error) {
      return html(error instanceof RangeError ? 413 : 500, 'Something went wrong');
    }
  });
}

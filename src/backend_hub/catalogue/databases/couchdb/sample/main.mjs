// Shared shopping lists in CouchDB over plain HTTP: revisions, conflicts, Mango, changes.
import { randomBytes } from 'node:crypto';

// For example http://admin:secret@127.0.0.1:5984 - credentials belong in the environment.
const server = new URL(process.env.COUCHDB_URL ?? 'http://127.0.0.1:5984');
const headers = { 'Content-Type': 'application/json', Accept: 'application/json' };
if (server.username) {
  const credentials = `${decodeURIComponent(server.username)}:${decodeURIComponent(server.password)}`;
  headers.Authorization = `Basic ${Buffer.from(credentials).toString('base64')}`;
}
const database = `demo-lists-${randomBytes(6).toString('hex')}`; // private: safe side by side

class HttpError extends Error {
  constructor(status, body) {
    super(`${status} ${body.error}: ${body.reason}`);
    this.status = status;
  }
}

async function couch(method, path, body) {
  const response = await fetch(new URL(`/${database}${path}`, server.origin), {
    method,
    headers,
    body: body === undefined ? undefined : JSON.stringify(body),
    signal: AbortSignal.timeout(10_000),
  });
  const answer = await response.json();
  if (!response.ok) throw new HttpError(response.status, answer);
  return answer;
}

const pathOf = (id) => `/${encodeURIComponent(id)}`;
const read = (id) => couch('GET', pathOf(id));
const write = (doc) => couch('PUT', pathOf(doc._id), doc); // doc._rev says which version we change
const generation = (rev) => rev.split('-')[0];

// Read, change, write; when somebody was quicker (409), start again from their version.
async function update(id, change, attempts = 5) {
  for (let attempt = 1; ; attempt += 1) {
    const doc = await read(id);
    change(doc);
    try {
      return await write(doc);
    } catch (error) {
      if (error.status !== 409 || attempt === attempts) throw error;
    }
  }
}

await couch('PUT', '');
try {
  const first = await write({ _id: 'list:party', type: 'list', owner: 'ada', items: ['bread'] });
  console.log('created, generation', generation(first.rev));

  // Two people open the same list; the second to save works from an old revision.
  const [mine, yours] = await Promise.all([read('list:party'), read('list:party')]);
  mine.items.push('cheese');
  yours.items.push('olives');
  await write(mine);
  try {
    await write(yours);
  } catch (error) {
    console.log('lost update prevented:', error.status);
  }

  const merged = await update('list:party', (list) => list.items.push('olives'));
  console.log('merged, generation', generation(merged.rev), (await read('list:party')).items);

  // Many documents in one request; every line of the answer has to be checked by itself.
  const results = await couch('POST', '/_bulk_docs', {
    docs: [
      { _id: 'list:garden', type: 'list', owner: 'linus', items: ['seeds', 'soil'] },
      { _id: 'list:office', type: 'list', owner: 'ada', items: ['paper'] },
      { _id: 'list:party', type: 'list', owner: 'ada', items: [] }, // no _rev: refused
    ],
  });
  console.log('bulk:', results.map((r) => (r.ok ? 'ok' : r.error)).join(', '));

  // A Mango query needs an index, or it reads every document.
  await couch('POST', '/_index', {
    index: { fields: ['type', 'owner'] }, name: 'by-owner', type: 'json',
  });
  const { docs } = await couch('POST', '/_find', {
    selector: { type: 'list', owner: 'ada' }, fields: ['_id', 'items'], limit: 20,
  });
  console.log('lists of ada:', docs.map((d) => d._id).sort().join(', '));

  // Deleting leaves a tombstone, so that replicas learn of it.
  const office = await read('list:office');
  await couch('DELETE', `${pathOf('list:office')}?rev=${encodeURIComponent(office._rev)}`);
  const { results: changes } = await couch('GET', '/_changes');
  const feed = changes.filter((c) => c.id.startsWith('list:')); // without the index's own document
  console.log('changes:', feed.map((c) => c.id + (c.deleted ? ' (deleted)' : '')).sort().join(', '));
} finally {
  await couch('DELETE', '');
}

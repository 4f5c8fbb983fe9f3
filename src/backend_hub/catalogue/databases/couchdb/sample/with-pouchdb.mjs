// No CouchDB at hand? Runs main.mjs against an in-memory stand-in that speaks the same HTTP API.
import { once } from 'node:events';
import { createServer } from 'node:http';
import expressPouchDB from 'express-pouchdb';
import PouchDB from 'pouchdb-core';
import memoryAdapter from 'pouchdb-adapter-memory';

PouchDB.plugin(memoryAdapter);
const couchLike = expressPouchDB(PouchDB.defaults({ adapter: 'memory' }), {
  inMemoryConfig: true,
  mode: 'minimumForPouchDB',
  overrideMode: { include: ['routes/find'] },
});

const listener = createServer(couchLike).listen(0, '127.0.0.1'); // port 0: any free one
await once(listener, 'listening');
process.env.COUCHDB_URL = `http://127.0.0.1:${listener.address().port}`;
try {
  await import('./main.mjs');
} finally {
  listener.closeAllConnections();
  listener.close();
}

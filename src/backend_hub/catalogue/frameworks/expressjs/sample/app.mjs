import express from 'express';
import { HttpError, tasksRouter } from './tasks.mjs';

export function createApp({ store, log = console.error }) {
  const app = express();
  app.disable('x-powered-by');

  // Middleware runs from top to bottom, so the order of these lines matters.
  app.use(express.json({ limit: '16kb' }));
  app.use('/tasks', tasksRouter(store));
  app.use((req, res, next) => next(new HttpError(404, 'no such page')));

  // Four parameters make this the error handler. Express 5 also brings the
  // errors of async handlers here; no try/catch is needed in the routes.
  app.use((error, req, res, next) => {
    if (res.headersSent) return next(error);
    const status = error.status ?? 500;
    if (status >= 500) log(error);
    res.status(status).json({ error: status >= 500 ? 'internal error' : error.message });
  });

  return app;
}

// The routes only know these four methods; a database can take its place.
export function memoryStore() {
  const tasks = new Map();
  let lastId = 0;
  return {
    all: async () => [...tasks.values()].sort((a, b) => a.priority - b.priority),
    find: async (id) => tasks.get(id),
    remove: async (id) => tasks.delete(id),
    async add(task) {
      lastId += 1;
      tasks.set(lastId, { id: lastId, ...task });
      return tasks.get(lastId);
    },
  };
}

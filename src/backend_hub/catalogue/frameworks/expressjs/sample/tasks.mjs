import { Router } from 'express';

// An error that knows which answer it wants to become.
export class HttpError extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

// Trust nothing that comes from outside: take the fields we know, check each.
function readTask(body) {
  const { title, priority = 3 } = body ?? {};
  if (typeof title !== 'string' || !title.trim() || title.length > 100) {
    throw new HttpError(422, 'title must be a text of 1 to 100 characters');
  }
  if (!Number.isInteger(priority) || priority < 1 || priority > 5) {
    throw new HttpError(422, 'priority must be a whole number from 1 to 5');
  }
  return { title: title.trim(), priority };
}

export function tasksRouter(store) {
  const router = Router();

  // Runs once for every route below that has :id in its path.
  router.param('id', async (req, res, next, id) => {
    req.task = /^\d{1,9}$/.test(id) ? await store.find(Number(id)) : undefined;
    next(req.task ? undefined : new HttpError(404, 'no such task'));
  });

  router.get('/', async (req, res) => {
    res.json(await store.all());
  });

  router.post('/', async (req, res) => {
    const task = await store.add(readTask(req.body));
    res.status(201).location(`${req.baseUrl}/${task.id}`).json(task);
  });

  router.get('/:id', (req, res) => {
    res.json(req.task);
  });

  router.delete('/:id', async (req, res) => {
    await store.remove(req.task.id);
    res.status(204).end();
  });

  return router;
}

// Selling the last items safely: conditional updates, idempotent orders, deadlock retry.
import { randomBytes } from 'node:crypto';
import mysql from 'mysql2/promise';

const suffix = randomBytes(6).toString('hex'); // private tables: safe to run side by side
const PRODUCT = `demo_product_${suffix}`;
const ORDERS = `demo_order_${suffix}`;

const pool = mysql.createPool({
  host: process.env.MARIADB_HOST ?? '127.0.0.1',
  port: Number(process.env.MARIADB_PORT ?? 3306),
  user: process.env.MARIADB_USER ?? 'root',
  password: process.env.MARIADB_PASSWORD ?? '',
  database: process.env.MARIADB_DATABASE ?? 'test',
  charset: 'utf8mb4',
  timezone: 'Z',
  connectTimeout: 5_000,
  connectionLimit: 5,
});

class OutOfStock extends Error {}

async function transaction(work, attempts = 3) {
  for (let attempt = 1; ; attempt += 1) {
    const connection = await pool.getConnection();
    try {
      await connection.beginTransaction();
      const result = await work(connection);
      await connection.commit();
      return result;
    } catch (error) {
      await connection.rollback();
      // InnoDB ends a deadlock by refusing one side; that side may simply try again.
      if (error.code !== 'ER_LOCK_DEADLOCK' || attempt === attempts) throw error;
    } finally {
      connection.release();
    }
  }
}

async function createTables() {
  await pool.query(`CREATE TABLE ${PRODUCT} (
    id    INT UNSIGNED AUTO_INCREMENT PRIMARY KEY,
    name  VARCHAR(100) NOT NULL UNIQUE,
    stock INT UNSIGNED NOT NULL
  ) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4`);
  await pool.query(`CREATE TABLE ${ORDERS} (
    id          BIGINT UNSIGNED AUTO_INCREMENT PRIMARY KEY,
    request_key VARCHAR(64) CHARACTER SET ascii NOT NULL UNIQUE,
    product_id  INT UNSIGNED NOT NULL,
    quantity    INT UNSIGNED NOT NULL,
    FOREIGN KEY (product_id) REFERENCES ${PRODUCT} (id)
  ) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4`);
}

// The caller chooses requestKey; the same key never sells twice, however often it is sent.
function placeOrder(requestKey, productId, quantity) {
  return transaction(async (db) => {
    // Take the strongest lock first. The INSERT's foreign key check alone would take a shared
    // lock on the product; two buyers who then both want to UPDATE it would deadlock.
    await db.execute(`SELECT id FROM ${PRODUCT} WHERE id = ? FOR UPDATE`, [productId]);

    try {
      await db.execute(
        `INSERT INTO ${ORDERS} (request_key, product_id, quantity) VALUES (?, ?, ?)`,
        [requestKey, productId, quantity],
      );
    } catch (error) {
      if (error.code === 'ER_DUP_ENTRY') return 'already placed';
      throw error;
    }

    // Check and change in one statement: stock can never be sold below zero.
    const [updated] = await db.execute(
      `UPDATE ${PRODUCT} SET stock = stock - ? WHERE id = ? AND stock >= ?`,
      [quantity, productId, quantity],
    );
    if (updated.affectedRows === 0) throw new OutOfStock(); // rolls the order back as well
    return 'placed';
  });
}

async function stockOf(productId) {
  const [[row]] = await pool.execute(`SELECT name, stock FROM ${PRODUCT} WHERE id = ?`, [productId]);
  return `${row.name}: ${row.stock} in stock`;
}

try {
  await createTables();
  const [{ insertId: mug }] = await pool.execute(
    `INSERT INTO ${PRODUCT} (name, stock) VALUES (?, ?)`, ['Mug ☕', 5],
  );
  console.log(await stockOf(mug));

  console.log('order a-1:', await placeOrder('a-1', mug, 2));
  console.log('order a-1 again:', await placeOrder('a-1', mug, 2));
  console.log(await stockOf(mug));

  const outcomes = await Promise.allSettled(
    Array.from({ length: 6 }, (_, i) => placeOrder(`b-${i}`, mug, 1)),
  );
  const placed = outcomes.filter((o) => o.value === 'placed').length;
  const refused = outcomes.filter((o) => o.reason instanceof OutOfStock).length;
  for (const { reason } of outcomes) if (reason && !(reason instanceof OutOfStock)) throw reason;
  console.log(`six buyers at once: ${placed} placed, ${refused} out of stock`);
  console.log(await stockOf(mug));

  const [[{ orders }]] = await pool.query(`SELECT COUNT(*) AS orders FROM ${ORDERS}`);
  console.log('orders recorded:', orders);
} finally {
  await pool.query(`DROP TABLE IF EXISTS ${ORDERS}, ${PRODUCT}`);
  await pool.end();
}

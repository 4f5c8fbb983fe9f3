// Drives the guest book through a real browser, the way a visitor would.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { chromium } from 'playwright';
import { createApp } from './app.mjs';

// Only what a visitor knows: labels, buttons, headings. No CSS classes, no sleeping.
class GuestBook {
  constructor(page) {
    this.page = page;
    this.name = page.getByLabel('Name');
    this.message = page.getByLabel('Message');
    this.entries = page.getByRole('list', { name: 'Entries' }).getByRole('listitem');
    this.error = page.getByRole('alert');
  }

  async sign(name, message) {
    await this.name.fill(name);
    await this.message.fill(message);
    await this.page.getByRole('button', { name: 'Sign' }).click();
  }
}

const tests = {
  async 'a visitor signs the guest book'(book) {
    await book.sign('Ada', 'Lovely place!');
    await book.entries.filter({ hasText: 'Lovely place!' }).waitFor();
    assert.deepEqual(await book.entries.allTextContents(), ['Ada: Lovely place!']);
  },

  async 'reloading does not sign twice'(book) {
    await book.sign('Ada', 'Only once');
    await book.entries.filter({ hasText: 'Only once' }).waitFor();
    await book.page.reload();
    assert.equal(await book.entries.count(), 1);
  },

  async 'an incomplete form explains itself and keeps the input'(book) {
    await book.sign('Ada', '   ');
    await book.error.waitFor();
    assert.equal(await book.error.textContent(), 'Please fill in both fields.');
    assert.equal(await book.name.inputValue(), 'Ada');
    assert.equal(await book.entries.count(), 0);
  },

  async 'a script in a message is shown, not run'(book) {
    const attack = '<img src=x onerror="document.title = \'hacked\'">';
    await book.sign('Mallory', attack);
    await book.entries.filter({ hasText: 'Mallory' }).waitFor();
    assert.equal(await book.entries.first().locator('span').textContent(), attack);
    assert.equal(await book.page.title(), 'Guest book');
  },

  async 'the form works with the keyboard alone'(book) {
    await book.name.focus();
    await book.page.keyboard.type('Grace');
    await book.page.keyboard.press('Tab');
    await book.page.keyboard.type('No mouse needed');
    await book.page.keyboard.press('Enter');
    await book.entries.filter({ hasText: 'Grace: No mouse needed' }).waitFor();
  },
};

// CHROMIUM_PATH is for machines that bring a browser of their own.
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM_PATH || undefined });
let failures = 0;
for (const [title, test] of Object.entries(tests)) {
  const server = createApp().listen(0, '127.0.0.1'); // a fresh application for every test
  await once(server, 'listening');
  const context = await browser.newContext({ baseURL: `http://127.0.0.1:${server.address().port}` });
  context.setDefaultTimeout(10_000);
  const page = await context.newPage();
  try {
    await page.goto('/');
    await test(new GuestBook(page));
    console.log('passed:', title);
  } catch (error) {
    failures += 1;
    console.log('FAILED:', title);
    console.error(error);
  } finally {
    await context.close();
    server.closeAllConnections();
    server.close();
  }
}
await browser.close();
console.log(`${Object.keys(tests).length - failures} passed, ${failures} failed`);
process.exitCode = failures ? 1 : 0;

/* web.mjs - the page of examples/web in a real browser: node tests/web.mjs WEB OUT SAMPLE
 *   WEB     the folder that make web fills; OUT  for pictures and files; SAMPLE  03_sample, built natively
 * playwright-core lies in OUT/node_modules, Chromium is Debian's. Ends with "web: N passed, M failed". */
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { execFileSync } from 'node:child_process';
import { deflateSync, crc32 as zlibCrc } from 'node:zlib';
import fs from 'node:fs';
import path from 'node:path';

const [web, out, sample] = process.argv.slice(2).map((p) => path.resolve(p));
const { chromium } = createRequire(path.join(out, 'x.js'))('playwright-core');
let passed = 0,
  failed = 0;
function check(ok, what) {
  if (ok) ++passed;
  else {
    ++failed;
    console.log(`FAILED ${what}`);
  }
}

/* A PNG of RGBA bytes. */
function crc(bytes) {
  if (zlibCrc) return zlibCrc(bytes);
  let c = ~0;
  for (const b of bytes) {
    c ^= b;
    for (let k = 0; k < 8; ++k) c = c & 1 ? (c >>> 1) ^ 0xedb88320 : c >>> 1;
  }
  return ~c >>> 0;
}
function png(width, height, rgba) {
  const chunk = (type, data) => {
    const body = Buffer.concat([Buffer.from(type), data]),
      head = Buffer.alloc(4),
      tail = Buffer.alloc(4);
    head.writeUInt32BE(data.length);
    tail.writeUInt32BE(crc(body));
    return Buffer.concat([head, body, tail]);
  };
  const size = Buffer.alloc(13),
    rows = [];
  size.writeUInt32BE(width, 0);
  size.writeUInt32BE(height, 4);
  size.set([8, 6, 0, 0, 0], 8);
  for (let j = 0; j < height; ++j)
    rows.push(Buffer.from([0]), rgba.subarray(4 * j * width, 4 * (j + 1) * width));
  return Buffer.concat([
    Buffer.from([137, 80, 78, 71, 13, 10, 26, 10]),
    chunk('IHDR', size),
    chunk('IDAT', deflateSync(Buffer.concat(rows))),
    chunk('IEND', Buffer.alloc(0)),
  ]);
}
/* Three folders: discs, squares and bars, each with a colour of its own, of 32 x 32. */
function folders(at) {
  const kinds = { discs: [220, 60, 50], squares: [60, 170, 80], bars: [70, 90, 220] };
  for (const [name, colour] of Object.entries(kinds)) {
    fs.mkdirSync(path.join(at, name), { recursive: true });
    for (let n = 0; n < 30; ++n) {
      const rgba = Buffer.alloc(32 * 32 * 4),
        r = 7 + (n % 5),
        x0 = 14 + (n % 4),
        y0 = 14 + ((n >> 2) % 4);
      for (let y = 0; y < 32; ++y)
        for (let x = 0; x < 32; ++x) {
          const dx = x - x0,
            dy = y - y0;
          const inside =
            name === 'discs'
              ? dx * dx + dy * dy <= r * r
              : name === 'squares'
                ? Math.max(Math.abs(dx), Math.abs(dy)) <= r
                : Math.abs(dx) <= 3 && Math.abs(dy) <= r + 3;
          if (inside) rgba.set([...colour, 255], 4 * (y * 32 + x));
        }
      fs.writeFileSync(path.join(at, name, `${n}.png`), png(32, 32, rgba));
    }
  }
}
/* The numbers behind an NPY header. */
const npy = (bytes) => bytes.subarray(10 + bytes.readUInt16LE(8));

const types = {
  '.html': 'text/html',
  '.js': 'text/javascript',
  '.css': 'text/css',
  '.wasm': 'application/wasm',
};
const server = createServer((request, answer) => {
  const name = path.join(
    web,
    request.url === '/' ? 'index.html' : new URL(request.url, 'http://x').pathname,
  );
  if (!name.startsWith(web) || !fs.existsSync(name)) {
    answer.writeHead(404).end();
    return;
  }
  answer
    .writeHead(200, { 'Content-Type': types[path.extname(name)] || 'application/octet-stream' })
    .end(fs.readFileSync(name));
});
await new Promise((ok) => server.listen(0, '127.0.0.1', ok));
const home = `http://127.0.0.1:${server.address().port}/`;
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM || '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-gpu'],
});
const context = await browser.newContext({ viewport: { width: 1200, height: 900 }, acceptDownloads: true });
const page = await context.newPage();
page.setDefaultTimeout(120000);
page.on('console', (m) => {
  if (m.type() === 'error') check(false, `console: ${m.text()}`);
});
page.on('pageerror', (e) => check(false, `page: ${e.message}`));
context.on('request', (r) => {
  if (!r.url().startsWith(home) && !/^(blob|data):/.test(r.url())) check(false, `asks for ${r.url()}`);
});
const ask = (operation, rest) =>
  page.evaluate(
    ([o, r]) => window.drlPage.ask(o, r).then((v) => (ArrayBuffer.isView(v) ? [...v] : v)),
    [operation, rest],
  );
const noTrouble = async (where) =>
  check(
    await page.locator('#trouble').isHidden(),
    `${where}: ${await page.locator('#trouble').textContent()}`,
  );
const picture = (name) => page.screenshot({ path: path.join(out, `${name}.png`), fullPage: true });
const sheetBytes = async (id) => {
  const [download] = await Promise.all([page.waitForEvent('download'), page.click(id)]);
  return fs.readFileSync(await download.path());
};

try {
  await page.goto(home);
  await page.waitForFunction(() => document.documentElement.dataset.isa);
  const isa = await page.evaluate(() => document.documentElement.dataset.isa);

  /* The plane: a checkerboard until three quarters of the samples lie in squares. */
  await page.evaluate(() => {
    const r = document.getElementById('plane-steps');
    r.value = 12000;
    r.dispatchEvent(new Event('input'));
  });
  await page.click('#plane-train');
  let share = 0;
  const begun = Date.now();
  while (share < 0.75 && Date.now() - begun < 240000) {
    await page.waitForTimeout(5000);
    const x = await ask('planeSample', { count: 2000, seed: 5 });
    let inside = 0;
    for (let i = 0; i < x.length; i += 2) {
      const column = Math.floor(x[i] + 2),
        row = Math.floor(x[i + 1] + 2);
      if (column >= 0 && column < 4 && row >= 0 && row < 4 && (column + row) % 2 === 0) ++inside;
    }
    share = inside / 2000;
  }
  console.log(
    `checkerboard: ${(100 * share).toFixed(1)} % of 2000 samples in squares after ` +
      `${((Date.now() - begun) / 1000).toFixed(0)} s`,
  );
  check(share >= 0.75, `checkerboard: ${share}`);
  await page.click('#plane-view', { position: { x: 120, y: 140 } });
  await page.waitForTimeout(1500);
  await noTrouble('plane');
  await picture('plane');
  if (await page.locator('#plane-pause').isEnabled()) await page.click('#plane-pause');

  /* The studio: one sprite's time, frames while it grows, half of it erased and drawn again. */
  await page.click('#tab-studio');
  const done = () => page.evaluate(() => +(document.getElementById('studio-canvas').dataset.done || 0));
  const grown = async (click) => {
    const before = await done();
    await page.click(click);
    await page.waitForFunction(
      (n) => +(document.getElementById('studio-canvas').dataset.done || 0) > n,
      before,
    );
  };
  await page.waitForFunction(() => +(document.getElementById('studio-canvas').dataset.done || 0) > 0);
  let least = Infinity;
  for (let i = 0; i < 8; ++i) {
    await grown('#studio-next');
    least = Math.min(
      least,
      await page.evaluate(() => +document.getElementById('studio-canvas').dataset.milliseconds),
    );
  }
  console.log(`a sprite: ${least.toFixed(0)} ms (${isa})`);
  check(least < 130, `a sprite takes ${least} ms`);
  await page.evaluate(() => {
    window.frames_seen = 0;
    const count = () => {
      ++window.frames_seen;
      requestAnimationFrame(count);
    };
    requestAnimationFrame(count);
  });
  const from = await page.evaluate(() => [performance.now(), window.frames_seen]);
  for (let i = 0; i < 4; ++i) await grown('#studio-way');
  const to = await page.evaluate(() => [performance.now(), window.frames_seen]);
  const rate = (1000 * (to[1] - from[1])) / (to[0] - from[0]);
  console.log(
    `frames while images grow: ${rate.toFixed(1)} a second over ${((to[0] - from[0]) / 1000).toFixed(1)} s`,
  );
  check(rate >= 55, `${rate} frames a second while images grow`);
  await grown('#studio-grow');
  const bytes = () =>
    page.evaluate(() => {
      const c = document.getElementById('studio-canvas');
      return [...c.getContext('2d').getImageData(0, 0, c.width, c.height).data];
    });
  const whole = await bytes();
  await page.click('#studio-half');
  const erased = await bytes();
  check(
    erased.some((v, i) => v !== whole[i]),
    'nothing was erased',
  );
  await grown('#studio-redraw');
  const again = await bytes(),
    width = Math.sqrt(whole.length / 4);
  let kept = 0,
    changed = 0;
  for (let i = 0; i < whole.length; ++i)
    if ((i / 4) % width < width / 2) kept += again[i] === whole[i];
    else changed += again[i] !== erased[i];
  check(kept === whole.length / 2, `${whole.length / 2 - kept} bytes of the known half changed`);
  check(changed > 0, 'nothing was drawn again');
  await page.selectOption('#studio-sign', '1');
  await grown('#studio-grow');
  await noTrouble('studio');
  await picture('studio');

  /* Your own: three folders, a minute, the file, the same pixels natively. */
  const images = path.join(out, 'images');
  fs.rmSync(images, { recursive: true, force: true });
  folders(images);
  await page.click('#tab-own');
  await page.setInputFiles('#own-folder', images);
  check(
    (await page.locator('#own-classes li').allTextContents()).join() ===
      'bars: 30 images,discs: 30 images,squares: 30 images',
    `folders: ${await page.locator('#own-classes').textContent()}`,
  );
  await page.evaluate(() => {
    document.getElementById('own-minutes').value = 1;
  });
  await page.click('#own-train');
  await page.waitForFunction(() => document.getElementById('own-left').textContent === 'done', null, {
    timeout: 300000,
  });
  await page.waitForTimeout(4000);
  await noTrouble('own');
  await picture('own');
  const [file] = await Promise.all([page.waitForEvent('download'), page.click('#own-download')]);
  const model = path.join(out, 'page.safetensors');
  await file.saveAs(model);
  await page.evaluate(() => {
    document.getElementById('studio-sign').value = '0';
  });
  await page.evaluate(() => {
    document.getElementById('studio-seed').value = 7;
  });
  const before = await done();
  await page.click('#own-open');
  await page.waitForFunction(
    (n) => +(document.getElementById('studio-canvas').dataset.done || 0) > n,
    before,
  );
  const ours = npy(await sheetBytes('#studio-npy'));
  execFileSync(
    sample,
    [
      model,
      '--count',
      '1',
      '--seed',
      '7',
      '--label',
      '1',
      '--guidance',
      await page.inputValue('#studio-guidance'),
      '--isa',
      isa === 'wasm' ? 'sse2' : isa,
      '--out',
      path.join(out, 'native'),
    ],
    { stdio: 'inherit' },
  );
  const native = npy(fs.readFileSync(path.join(out, 'native.npy')));
  check(
    ours.length === native.length && ours.equals(native),
    'the page and 03_sample draw other pixels from one file',
  );
  await noTrouble('own in the studio');

  /* The page is closed and opened again: the run is there, with the same weights. */
  const steps = await page.textContent('#own-step');
  await page.waitForFunction((n) => document.getElementById('own-step').dataset.kept === n, steps);
  const weights = () =>
    page.evaluate(async () => {
      const digest = await crypto.subtle.digest('SHA-256', await window.drlPage.ask('ownSave'));
      return new Uint8Array(digest).join();
    });
  const trained = await weights();
  await page.reload();
  await page.waitForFunction(() => document.documentElement.dataset.isa);
  await page.click('#tab-own');
  await page.click('#own-return');
  await page.waitForFunction(() => document.getElementById('own-left').textContent === 'done');
  check((await page.textContent('#own-step')) === steps, `kept at step ${steps}, opened at another`);
  check((await weights()) === trained, 'the run that was kept has other weights');
  await noTrouble('own again');

  /* Data files: 20 grey images of 12 x 12 in two classes; then a label too few. */
  const idx = (sizes, value) => {
    const head = Buffer.alloc(4 + 4 * sizes.length);
    head.writeUInt32BE(0x800 + sizes.length);
    sizes.forEach((n, i) => head.writeUInt32BE(n, 4 + 4 * i));
    const length = sizes.reduce((a, b) => a * b);
    return Buffer.concat([head, Buffer.from(Array.from({ length }, (_, i) => value(i)))]);
  };
  const data = (labels) => [
    { name: 'images-idx3-ubyte', mimeType: '', buffer: idx([20, 12, 12], (i) => (i * 7) % 256) },
    { name: 'labels-idx1-ubyte', mimeType: '', buffer: idx([labels], (i) => i % 2) },
  ];
  const trouble = () => page.textContent('#trouble');
  await page.setInputFiles('#own-files', data(19));
  await page.click('#own-train');
  await page.waitForFunction(() => document.getElementById('trouble').textContent);
  check((await trouble()).includes('19 labels for 20 images'), `19 labels: ${await trouble()}`);
  await page.click('#own-clear');
  await page.setInputFiles('#own-files', data(20));
  await page.evaluate(() => {
    document.getElementById('own-step').textContent = 0;
  });
  await page.click('#own-train');
  await page.waitForFunction(() => +document.getElementById('own-step').textContent > 0);
  await page.click('#own-pause');
  const grid = await page.evaluate(() => document.getElementById('own-grid').dataset.seen);
  await page.waitForFunction((n) => document.getElementById('own-grid').dataset.seen !== n, grid);
  check((await page.getAttribute('#own-grid', 'width')) === '67', 'a grid of 4 columns of 16 pixels');
  await noTrouble('data files');

  /* On a phone, in the dark. */
  await page.setViewportSize({ width: 390, height: 800 });
  await page.emulateMedia({ colorScheme: 'dark' });
  for (const tab of ['plane', 'studio', 'own']) {
    await page.click(`#tab-${tab}`);
    check(
      await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth),
      `${tab}: wider than a phone`,
    );
    check(
      await page.evaluate(() =>
        [...document.querySelectorAll('input, select, canvas')].every(
          (e) => e.labels?.length || e.getAttribute('aria-label') || e.closest('button'),
        ),
      ),
      `${tab}: a control without a label`,
    );
    await picture(`phone-${tab}`);
  }
  await page.focus('#tab-own');
  await page.keyboard.press('ArrowRight');
  check(await page.locator('#plane').isVisible(), 'arrow keys do not change the room');
} catch (error) {
  check(false, error.message.split('\n')[0]);
  await picture('failed').catch(() => {});
}
await browser.close();
server.close();
const size = (name) => fs.statSync(path.join(web, name)).size;
const total = fs.readdirSync(web).reduce((sum, name) => sum + size(name), 0);
console.log(`wasm ${size('drl.wasm')} bytes, all ${total}`);
check(size('drl.wasm') <= 450e3, 'wasm is larger than 450 kB');
check(total <= 2e6, 'the page is larger than 2 MB');
console.log(`web: ${passed} passed, ${failed} failed`);
process.exit(failed ? 1 : 0);

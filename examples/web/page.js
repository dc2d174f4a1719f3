/* page.js - the page, and the worker that computes for it: the page loads this file again as its worker. */
'use strict';

if (typeof document === 'undefined') compute();
else show();

/* --------------------------------------------------------------------------------------------------------
 * The worker: calls page.c, and turns long work into slices so that it hears the page between them.
 * ----------------------------------------------------------------------------------------------------- */
function compute() {
  importScripts('drl.js');
  const PLANE = 0,
    STUDIO = 1,
    OWN = 2,
    OK = 0,
    RUNNING = 1;
  const CELLS = 48,
    SHOWN = 300;
  const SLICE = 12; // milliseconds; a frame of the page has 16
  let m;
  const jobs = new Map(); // name -> function that does one slice and returns whether there is more
  const turns = new MessageChannel();
  turns.port1.onmessage = () => {
    for (const [name, slice] of [...jobs]) {
      let more = false;
      try {
        more = slice();
      } catch (error) {
        postMessage({ event: 'trouble', text: error.message });
      }
      if (!more && jobs.get(name) === slice) jobs.delete(name);
    }
    if (jobs.size) turns.port2.postMessage(0);
  };
  const start = (name, slice) => {
    const idle = jobs.size === 0;
    jobs.set(name, slice);
    if (idle) turns.port2.postMessage(0);
  };

  const text = (pointer) => m.UTF8ToString(pointer);
  const must = (status, what) => {
    if (status !== OK && status !== RUNNING)
      throw new Error(`${what}: ${text(m._page_message()) || 'not possible'}`);
    return status;
  };
  const floats = (pointer, n) => new Float32Array(m.HEAPF32.buffer, pointer, n).slice();
  const doubles = (pointer, n) => Array.from(new Float64Array(m.HEAPF64.buffer, pointer, n));
  const report = (room) => {
    const [step, loss, speed, total, seconds, rollbacks] = doubles(m._room_report(room), 6);
    return { step, loss, speed, total, seconds, rollbacks };
  };
  const describe = (room) => {
    const n = new Int32Array(m.HEAP32.buffer, m._room_describe(room), 6);
    return { height: n[0], width: n[1], channels: n[2], classes: n[3], levels: n[4], steps: n[5] };
  };
  const levelOf = (room, t) => {
    const [a, step, s, half] = doubles(m._room_level(room, t), 4);
    return { t, a, step, s, half };
  };
  const put = (array) => {
    const at = m._page_block(array.byteLength);
    if (!at) throw new Error('out of memory');
    new Uint8Array(m.HEAPU8.buffer, at, array.byteLength).set(
      new Uint8Array(array.buffer, array.byteOffset, array.byteLength),
    );
    return at;
  };

  /* The file that page.c has put into its block, of so many bytes, or a failure. */
  const file = (bytes) => {
    if (bytes < 0) must(-bytes, 'saving');
    return new Uint8Array(m.HEAPU8.buffer, m._page_block(0), bytes).slice();
  };

  function lookAtPlane() {
    must(m._plane_look(), 'plane');
    const n = m._plane_shown(),
      levels = [];
    for (let i = 0; i < n; ++i) levels.push(levelOf(PLANE, m._plane_level(i)));
    const maps = floats(m._plane_maps(), n * CELLS * CELLS),
      way = floats(m._plane_way(), (n + 1) * SHOWN * 2);
    postMessage(
      {
        event: 'plane',
        levels,
        maps,
        way,
        logZ: doubles(m._plane_log_z(), n),
        report: report(PLANE),
        model: describe(PLANE),
      },
      [maps.buffer, way.buffer],
    );
  }
  /* A slice of training; progress every 0.3 s, `look` at the end, every so many milliseconds, and for at most
   * a fifth of the time. */
  function training(room, train, every, look) {
    let told = 0,
      looked = performance.now(),
      wait = 0;
    return () => {
      const status = must(train(), 'training'),
        now = performance.now();
      if (now - told > 300) {
        told = now;
        postMessage({ event: 'trained', room, report: report(room) });
      }
      if (status === OK || now - looked > Math.max(every, wait)) {
        look();
        looked = performance.now();
        wait = 4 * (looked - now);
      }
      if (status === OK) postMessage({ event: 'trained', room, report: report(room), done: true });
      return status !== OK;
    };
  }
  /* Images of a room that grow; `seen` is called after each slice with (floats, done). */
  function grow(room, name, count, how, seen) {
    must(
      m._room_grow(
        room,
        count,
        how.label || 0,
        how.second || 0,
        how.sign || 0,
        how.guidance || 0,
        how.seed,
        how.between ? 1 : 0,
        how.held ? 1 : 0,
      ),
      'sampling',
    );
    start(name, () => {
      const status = must(m._room_grow_on(room, SLICE), 'sampling');
      const size = describe(room),
        at = m._room_images(room, count);
      seen(floats(at, count * size.height * size.width * size.channels), status === OK);
      return status !== OK;
    });
  }

  const operations = {
    begin() {
      return { isa: text(m._page_isa()) };
    },
    planeBegin({ data, form, levels, k, b2, width, steps, points }) {
      jobs.delete('plane');
      if (points) {
        const at = m._plane_points(points.length / 2);
        new Float32Array(m.HEAPF32.buffer, at, points.length).set(points);
      }
      must(m._plane_begin(data, form, levels, k, b2, width, steps, 1), 'plane');
    },
    planeTrain({ on }) {
      if (on)
        start(
          'plane',
          training(PLANE, () => m._plane_train(SLICE), 800, lookAtPlane),
        );
      else {
        jobs.delete('plane');
        lookAtPlane();
      }
    },
    planeSample({ count, seed }) {
      must(m._plane_sample(count, seed), 'sampling');
      return floats(m._page_block(0), count * 2);
    },
    planeChain({ x, y, level, seed }) {
      const points = m._plane_chain(x, y, level, seed);
      if (points < 0) must(-points, 'chain');
      return floats(m._page_block(0), points * 2);
    },
    studioLoad({ bytes, sprites }) {
      jobs.delete('studio');
      put(new Uint8Array(bytes));
      must(m._studio_load(bytes.byteLength), 'model');
      const model = describe(STUDIO),
        names = [];
      for (let i = 0; i <= model.classes; ++i)
        names.push(sprites ? text(m._sprite_name(i)) : i ? `class ${i}` : 'any');
      return { model, names, last: levelOf(STUDIO, 0) };
    },
    studioGrow({ count, how, canvas, known }) {
      if (how.held) {
        new Float32Array(m.HEAPF32.buffer, m._studio_canvas(), canvas.length).set(canvas);
        new Uint8Array(m.HEAPU8.buffer, m._studio_known(), known.length).set(known);
      }
      const begun = performance.now();
      grow(STUDIO, 'studio', count, how, (images, done) =>
        postMessage(
          {
            event: 'grown',
            images,
            done,
            level: m._room_level_left(STUDIO),
            left: m._room_steps_left(STUDIO),
            milliseconds: performance.now() - begun,
          },
          [images.buffer],
        ),
      );
    },
    studioScore({ canvas, level, label }) {
      new Float32Array(m.HEAPF32.buffer, m._studio_canvas(), canvas.length).set(canvas);
      return m._studio_score(level, label);
    },
    /* images: `count` of size x size, RGBA, and, behind them, labels; or, without a size, the lengths of
     * `count` data files and the files. checkpoint: of a run that goes on, or nothing */
    ownBegin({ images, count, size, classes, seconds, checkpoint }) {
      jobs.delete('own');
      jobs.delete('own-grid');
      put(images);
      must(size ? m._own_data(count, size, classes) : m._own_files(count), 'images');
      if (checkpoint) put(checkpoint);
      must(checkpoint ? m._own_resume(checkpoint.length, seconds) : m._own_begin(seconds, 1), 'model');
    },
    ownTrain({ on }) {
      const look = () => {
        const classes = describe(OWN).classes;
        grow(OWN, 'own-grid', 16, { label: classes ? -1 : 0, guidance: 0.5, seed: 1 }, (images, done) => {
          if (done) postMessage({ event: 'own', images, model: describe(OWN) }, [images.buffer]);
        });
      };
      let next = 4000;
      const step = training(OWN, () => m._own_train(SLICE), Infinity, look),
        begun = performance.now();
      if (on)
        start('own', () => {
          if (performance.now() - begun > next && !jobs.has('own-grid')) {
            next += next < 30000 ? 8000 : 20000;
            look();
          }
          return jobs.has('own-grid') || step(); // a sampler needs the weights that it began with
        });
      else {
        jobs.delete('own');
        jobs.delete('own-grid');
        look();
      }
    },
    ownSave() {
      return file(m._own_save());
    },
    ownKeep() {
      return { checkpoint: file(m._own_keep()), step: report(OWN).step };
    },
    studioNpy({ images, count }) {
      put(images);
      return file(m._studio_npy(count));
    },
  };
  const ready = drl().then((module) => {
    m = module;
    if (m._page_begin() !== OK) throw new Error('no context');
  });
  onmessage = async ({ data: { id, operation, ...rest } }) => {
    try {
      await ready;
      postMessage({ id, result: operations[operation](rest) });
    } catch (error) {
      postMessage({ id, error: error.message });
    }
  };
}

/* --------------------------------------------------------------------------------------------------------
 * The page.
 * ----------------------------------------------------------------------------------------------------- */
function show() {
  const $ = (id) => document.getElementById(id);
  const worker = new Worker('page.js');
  const waiting = new Map(),
    events = {};
  let asked = 0;

  function ask(operation, rest = {}, transfer = []) {
    return new Promise((resolve, reject) => {
      waiting.set(++asked, { resolve, reject });
      worker.postMessage({ id: asked, operation, ...rest }, transfer);
    });
  }
  function trouble(text) {
    $('trouble').textContent = text;
    $('trouble').hidden = !text;
  }
  const tell = (error) => trouble(error.message);
  worker.onmessage = ({ data }) => {
    if (data.event === 'trouble') trouble(data.text);
    else if (data.event) events[data.event](data);
    else {
      const { resolve, reject } = waiting.get(data.id);
      waiting.delete(data.id);
      if (data.error) reject(new Error(data.error));
      else resolve(data.result);
    }
  };
  worker.onerror = (e) => trouble(`the worker stopped: ${e.message}`);

  /* Tabs, with the arrow keys; the address remembers the room. */
  const tabs = [...document.querySelectorAll('[role=tab]')];
  function open(tab) {
    for (const t of tabs) {
      t.setAttribute('aria-selected', t === tab);
      t.tabIndex = t === tab ? 0 : -1;
      $(t.getAttribute('aria-controls')).hidden = t !== tab;
    }
    history.replaceState(null, '', `#${tab.getAttribute('aria-controls')}`);
    if (tab.id === 'tab-studio') studio.open();
  }
  tabs.forEach((tab, i) => {
    tab.onclick = () => open(tab);
    tab.onkeydown = (e) => {
      const by = { ArrowRight: 1, ArrowLeft: -1 }[e.key];
      if (!by) return;
      const next = tabs[(i + by + tabs.length) % tabs.length];
      next.focus();
      open(next);
    };
  });
  for (const range of document.querySelectorAll('input[type=range]')) {
    const out = range.parentElement.querySelector('output');
    const write = () => {
      out.textContent = range.value;
    };
    range.addEventListener('input', write);
    write();
  }

  /* y <- y + step^2/2 (grad F(y, t) - (y - x_{t+1}) / s^2) + step eps, and below it a paragraph, which is
   * returned, for the numbers of the level that is shown. */
  function equation(place, last) {
    const frac = (a, b) => `<mfrac>${a}${b}</mfrac>`;
    const y = '<mi>y</mi>',
      step2 = '<msup><mi>step</mi><mn>2</mn></msup>';
    const pull = `<mo>-</mo>${frac(
      `<mrow>${y}<mo>-</mo><msub><mi>x</mi><mrow><mi>t</mi><mo>+</mo><mn>1</mn></mrow></msub></mrow>`,
      '<msubsup><mi>s</mi><mrow><mi>t</mi><mo>+</mo><mn>1</mn></mrow><mn>2</mn></msubsup>',
    )}`;
    place.innerHTML = `<math display="block"><mrow>${y}<mo>&#8592;</mo>${y}<mo>+</mo>
      ${frac(step2, '<mn>2</mn>')}
      <mrow><mo>(</mo><mo>&#8711;</mo><mi>F</mi><mo>(</mo>${y}<mo>,</mo><mi>t</mi><mo>)</mo>
      ${last ? '' : pull}<mo>)</mo></mrow>
      <mo>+</mo><mi>step</mi><mspace width="0.2em"/><mi>&#949;</mi></mrow></math><p></p>`;
    return place.querySelector('p');
  }
  /* 0..1 -> the colour of a density */
  const colours = [
    [16, 19, 26],
    [38, 62, 88],
    [40, 120, 122],
    [120, 186, 120],
    [246, 232, 150],
  ];
  function colour(v) {
    const at = Math.min(Math.max(v, 0), 0.9999) * (colours.length - 1),
      i = Math.floor(at),
      f = at - i;
    return colours[i].map((c, k) => c + f * (colours[i + 1][k] - c));
  }
  function heat(map) {
    const n = Math.sqrt(map.length),
      image = new ImageData(n, n);
    for (let i = 0; i < map.length; ++i) {
      const c = colour(Math.sqrt(map[i]));
      image.data.set([c[0], c[1], c[2], 255], 4 * i);
    }
    const canvas = document.createElement('canvas');
    canvas.width = canvas.height = n;
    canvas.getContext('2d').putImageData(image, 0, 0);
    return canvas;
  }

  /* --- the plane ----------------------------------------------------------------------------------- */
  const plane = (() => {
    const view = $('plane-view'),
      pen = view.getContext('2d'),
      pad = $('plane-pad'),
      padPen = pad.getContext('2d');
    let now = null,
      heats = [],
      level = 1 /* level 0 has no noise to smooth it, so its map takes longest to become right */,
      path = null,
      drawn = [],
      live = null;
    const RANGE = 2.2;

    function pad_draw() {
      padPen.clearRect(0, 0, pad.width, pad.height);
      padPen.fillStyle = getComputedStyle(document.body).color;
      for (let i = 0; i < drawn.length; i += 2)
        padPen.fillRect(
          ((drawn[i] / RANGE + 1) / 2) * pad.width - 1,
          ((1 - drawn[i + 1] / RANGE) / 2) * pad.height - 1,
          3,
          3,
        );
      $('plane-drawn').textContent = drawn.length / 2;
    }
    function dot(e) {
      if (e.buttons !== 1) return;
      const box = pad.getBoundingClientRect();
      for (let i = 0; i < 4; ++i)
        drawn.push(
          RANGE * ((2 * (e.clientX - box.left)) / box.width - 1) + 0.1 * (Math.random() - 0.5),
          RANGE * (1 - (2 * (e.clientY - box.top)) / box.height) + 0.1 * (Math.random() - 0.5),
        );
      pad_draw();
    }
    pad.onpointerdown = pad.onpointermove = dot;
    $('plane-clear').onclick = () => {
      drawn = [];
      pad_draw();
    };
    $('plane-data').onchange = () => {
      $('plane-draw').hidden = $('plane-data').value !== '3';
    };
    $('plane-form-of').onchange = () => {
      const form = $('plane-form-of').value,
        set = (id, v) => {
          $(id).value = v;
          $(id).dispatchEvent(new Event('input'));
        };
      if (form === '0') {
        set('plane-k', 6);
        set('plane-b2', -2.3);
      }
      if (form === '1') {
        set('plane-k', 10);
        set('plane-b2', -2.5);
      }
      for (const id of ['plane-levels', 'plane-k', 'plane-b2']) $(id).disabled = form === '2';
    };

    const choices = () => ({
      data: +$('plane-data').value,
      form: +$('plane-form-of').value,
      levels: +$('plane-levels').value,
      k: +$('plane-k').value,
      b2: 10 ** +$('plane-b2').value,
      width: +$('plane-width').value,
      steps: +$('plane-steps').value,
    });
    const state = (running) => {
      live = running === null ? null : { running };
      $('plane-pause').disabled = running === null;
      $('plane-pause').textContent = running === false ? 'Go on' : 'Pause';
      $('plane-train').textContent = running === null ? 'Train' : 'Start again';
    };
    $('plane-form').onsubmit = (e) => {
      e.preventDefault();
      trouble('');
      const how = choices();
      if (how.data === 3 && drawn.length < 40) {
        trouble('Draw at least 20 points first.');
        return;
      }
      if (how.data === 3) how.points = Float32Array.from(drawn);
      level = 1;
      path = null;
      ask('planeBegin', how)
        .then(() => ask('planeTrain', { on: true }))
        .then(() => state(true))
        .catch(tell);
    };
    $('plane-pause').onclick = () => {
      state(!live.running);
      ask('planeTrain', { on: live.running }).catch(tell);
    };

    function choose(t) {
      level = t;
      [...$('plane-maps').children].forEach((b, i) => b.setAttribute('aria-pressed', i === t));
      write();
    }
    function write() {
      if (!now) return;
      const l = now.levels[level];
      equation($('plane-equation'), l.t === now.model.levels - 1).textContent =
        `t = ${l.t} of ${now.model.levels - 1}, step = ${l.step.toPrecision(3)}, ` +
        `s = ${l.s.toPrecision(3)}, ` +
        (now.model.steps ? `K = ${now.model.steps}` : 'K = 0: one draw of N(x + s\u00b2 \u2207F, s\u00b2)');
      $('plane-what').textContent =
        `exp F of level ${l.t}, log Z of y = ${now.logZ[level].toFixed(2)} by the grid, and ` +
        'samples on their way. A click starts a chain.';
    }
    events.plane = (data) => {
      now = data;
      const n = data.levels.length,
        box = $('plane-maps'),
        cells = data.maps.length / n;
      heats = data.levels.map((l, i) => heat(data.maps.subarray(i * cells, (i + 1) * cells)));
      while (box.children.length > n) box.lastChild.remove();
      while (box.children.length < n) {
        const b = document.createElement('button'),
          i = box.children.length;
        b.type = 'button';
        b.append(document.createElement('canvas'), document.createElement('span'));
        b.firstChild.width = b.firstChild.height = 48;
        b.onclick = () => choose(i);
        box.append(b);
      }
      heats.forEach((h, i) => {
        box.children[i].firstChild.getContext('2d').drawImage(h, 0, 0);
        box.children[i].lastChild.textContent = `t = ${data.levels[i].t}`;
      });
      choose(Math.min(level, n - 1));
      figures(data.report);
    };
    function figures(r) {
      $('plane-step').textContent = `${r.step} of ${r.total || '?'}`;
      $('plane-loss').textContent = r.loss.toFixed(3);
      if (r.speed) $('plane-speed').textContent = r.speed.toFixed(0);
    }

    /* The samples walk down the levels in four seconds, then rest on x_0 for two. */
    function frame(time) {
      requestAnimationFrame(frame);
      if ($('plane').hidden || !now) return;
      const n = now.levels.length,
        count = now.way.length / 2 / (n + 1),
        size = view.width;
      const at = Math.min(((time / 1000) % 6) / 4, 1) * n,
        k = Math.min(Math.floor(at), n - 1),
        f = at - k;
      const half = now.levels[level].half,
        place = (v) => ((v / half + 1) / 2) * size;
      pen.imageSmoothingEnabled = true;
      pen.drawImage(heats[level], 0, 0, size, size);
      pen.fillStyle = '#ffffffb0';
      for (let i = 0; i < count; ++i) {
        const a = 2 * (k * count + i),
          b = a + 2 * count;
        const x = now.way[a] + f * (now.way[b] - now.way[a]),
          y = now.way[a + 1] + f * (now.way[b + 1] - now.way[a + 1]);
        pen.fillRect(place(x) - 1, size - place(y) - 1, 2.5, 2.5);
      }
      if (path) {
        const shown = Math.min(path.points.length / 2, 1 + Math.floor((time - path.begun) / 25));
        pen.strokeStyle = pen.fillStyle = '#ff9d5c';
        pen.lineWidth = 1.5;
        pen.beginPath();
        for (let i = 0; i < shown; ++i)
          pen.lineTo(place(path.points[2 * i]), size - place(path.points[2 * i + 1]));
        pen.stroke();
        pen.beginPath();
        pen.arc(place(path.points[2 * shown - 2]), size - place(path.points[2 * shown - 1]), 5, 0, 7);
        pen.fill();
      }
    }
    requestAnimationFrame(frame);
    view.onclick = (e) => {
      if (!now) return;
      const box = view.getBoundingClientRect(),
        half = now.levels[level].half;
      ask('planeChain', {
        x: half * ((2 * (e.clientX - box.left)) / box.width - 1),
        y: half * (1 - (2 * (e.clientY - box.top)) / box.height),
        level: now.levels[level].t,
        seed: 1 + Math.floor(1e6 * Math.random()),
      })
        .then((points) => {
          path = { points, begun: performance.now() };
        })
        .catch(tell);
    };
    view.onkeydown = (e) => {
      if (e.key !== 'Enter' || !now) return;
      const box = view.getBoundingClientRect();
      view.onclick({
        clientX: box.left + box.width * Math.random(),
        clientY: box.top + box.height * Math.random(),
      });
    };
    events.trained = (data) => {
      if (data.room === 2) {
        own.trained(data);
        return;
      }
      figures(data.report);
      if (data.done) state(null);
    };
    pad_draw();
    return {};
  })();

  /* --- images: floats (H,W,C) in about [-1, 1] -> a canvas ----------------------------------------- */
  const byte = (v) => Math.min(Math.max(Math.round((v + 1) * 127.5), 0), 255);
  function rgba(values, at, model) {
    const image = new ImageData(model.width, model.height),
      c = model.channels;
    for (let i = 0; i < model.width * model.height; ++i) {
      const p = at + i * c,
        alpha = c === 2 || c === 4 ? byte(values[p + c - 1]) : 255;
      for (let k = 0; k < 3; ++k) image.data[4 * i + k] = byte(values[p + (c < 3 ? 0 : k)]);
      image.data[4 * i + 3] = alpha;
    }
    return image;
  }
  function download(name, type, parts) {
    const a = document.createElement('a');
    a.href = URL.createObjectURL(new Blob(parts, { type }));
    a.download = name;
    a.click();
    setTimeout(() => URL.revokeObjectURL(a.href), 10000);
  }
  /* A grid of images; several columns. */
  function gridOf(images, model, columns) {
    const canvas = document.createElement('canvas'),
      size = model.width * model.height * model.channels;
    const count = images.length / size;
    canvas.width = columns * (model.width + 1) - 1;
    canvas.height = Math.ceil(count / columns) * (model.height + 1) - 1;
    const pen = canvas.getContext('2d');
    for (let i = 0; i < count; ++i)
      pen.putImageData(
        rgba(images, i * size, model),
        (i % columns) * (model.width + 1),
        Math.floor(i / columns) * (model.height + 1),
      );
    return canvas;
  }

  /* --- the studio ---------------------------------------------------------------------------------- */
  const studio = (() => {
    const canvas = $('studio-canvas'),
      pen = canvas.getContext('2d');
    let model = null,
      image = null,
      known = null,
      sheet = [],
      scores = [],
      opened = false,
      growing = null,
      words = null;

    async function load(bytes, sprites) {
      const loaded = await ask('studioLoad', { bytes, sprites });
      model = loaded.model;
      canvas.width = model.width;
      canvas.height = model.height;
      image = new Float32Array(model.width * model.height * model.channels).fill(-1);
      known = new Uint8Array(model.width * model.height).fill(1);
      growing = null;
      empty();
      for (const id of ['studio-class', 'studio-second']) {
        $(id).replaceChildren(...loaded.names.map((name, i) => new Option(name, i)));
        $(id).disabled = model.classes === 0;
      }
      $('studio-class').value = model.classes ? 1 : 0;
      $('studio-second').value = Math.min(6, model.classes);
      words = equation($('studio-equation'), false);
      $('studio-what').textContent =
        `${model.width} x ${model.height} x ${model.channels}, ${model.classes} classes, ` +
        `T = ${model.levels}, K = ${model.steps}`;
    }
    function openRoom() {
      if (opened) return Promise.resolve();
      opened = true;
      return fetch('sprites.safetensors')
        .then((r) => {
          if (!r.ok)
            throw new Error('There is no sprites.safetensors beside the page: choose a model file.');
          return r.arrayBuffer();
        })
        .then((bytes) => load(bytes, true))
        .then(() => grow())
        .catch(tell);
    }
    function draw() {
      const now = rgba(image, 0, model);
      for (let i = 0; i < known.length; ++i) if (!known[i]) now.data[4 * i + 3] = 0;
      pen.putImageData(now, 0, 0);
    }
    function erase(i) {
      known[i] = 0;
    }
    function brush(e) {
      if (!model || growing || (e.type === 'pointermove' && e.buttons !== 1)) return;
      const box = canvas.getBoundingClientRect(),
        r = +$('studio-brush').value / 2;
      const x = ((e.clientX - box.left) / box.width) * model.width,
        y = ((e.clientY - box.top) / box.height) * model.height;
      for (let i = 0; i < known.length; ++i) {
        const dx = (i % model.width) + 0.5 - x,
          dy = Math.floor(i / model.width) + 0.5 - y;
        if (dx * dx + dy * dy <= r * r + 0.25) erase(i);
      }
      draw();
    }
    canvas.onpointerdown = canvas.onpointermove = brush;
    canvas.onkeydown = (e) => {
      if (e.key === 'Enter' || e.key === ' ') {
        e.preventDefault();
        half();
      }
    };
    function half() {
      if (!model || growing) return;
      for (let i = 0; i < known.length; ++i) if (i % model.width >= model.width / 2) erase(i);
      draw();
    }
    $('studio-half').onclick = half;

    const how = () => ({
      label: +$('studio-class').value,
      sign: +$('studio-sign').value,
      second: +$('studio-second').value,
      guidance: +$('studio-guidance').value,
      seed: +$('studio-seed').value,
    });
    $('studio-sign').onchange = () => {
      $('studio-second-of').hidden = $('studio-sign').value === '0';
    };
    function grow(count = 1, more = {}) {
      if (!model) return Promise.resolve();
      trouble('');
      const settings = { ...how(), ...more };
      return new Promise((resolve) => {
        growing = { count, resolve };
        ask('studioGrow', { count, how: settings, canvas: image, known }).catch((error) => {
          growing = null;
          tell(error);
          resolve();
        });
      });
    }
    events.grown = ({ images, done, level, left, milliseconds }) => {
      if (!growing) return;
      const size = image.length,
        { count, resolve } = growing;
      image = images.slice(0, size);
      if (done) known.fill(1);
      draw();
      words.textContent = done
        ? `${milliseconds.toFixed(0)} ms in the worker`
        : `level ${Math.max(level - 1, 0)}, ${left} steps to go`;
      if (!done) return;
      growing = null;
      for (let i = 0; i < count; ++i) keep(images.slice(i * size, (i + 1) * size));
      canvas.dataset.milliseconds = milliseconds;
      canvas.dataset.done = +(canvas.dataset.done || 0) + 1;
      score();
      resolve();
    };
    function keep(values) {
      const b = document.createElement('button'),
        c = gridOf(values, model, 1);
      b.type = 'button';
      b.setAttribute('aria-label', `image ${sheet.length + 1}`);
      b.append(c);
      b.onclick = () => {
        if (growing) return;
        image = values.slice();
        known.fill(1);
        draw();
        score();
      };
      sheet.push(values);
      $('studio-sheet').append(b);
    }
    function empty() {
      sheet = [];
      scores = [];
      $('studio-sheet').replaceChildren();
    }
    async function score() {
      const f = await ask('studioScore', { canvas: image, level: 0, label: 0 });
      scores.push(f);
      const low = Math.min(...scores),
        high = Math.max(...scores);
      $('studio-f').textContent = f.toPrecision(4);
      $('studio-meter').value = high > low ? (f - low) / (high - low) : 1;
    }
    $('studio-form').onsubmit = (e) => {
      e.preventDefault();
      grow();
    };
    $('studio-next').onclick = () => {
      $('studio-seed').value = +$('studio-seed').value + 1;
      grow();
    };
    $('studio-redraw').onclick = () => {
      if (known && known.includes(0)) grow(1, { held: true });
      else trouble('Erase something first: draw on the image.');
    };
    $('studio-way').onclick = () => grow(8, { between: true });
    $('studio-empty').onclick = empty;
    const all = () => {
      const values = new Float32Array(sheet.length * image.length);
      sheet.forEach((s, i) => values.set(s, i * image.length));
      return values;
    };
    $('studio-png').onclick = () => {
      if (!sheet.length) return;
      gridOf(all(), model, 8).toBlob((blob) => download('sheet.png', 'image/png', [blob]));
    };
    $('studio-npy').onclick = () => {
      if (!sheet.length) return;
      ask('studioNpy', { images: all(), count: sheet.length })
        .then((bytes) => download('sheet.npy', 'application/octet-stream', [bytes]))
        .catch(tell);
    };
    $('studio-file').onchange = async () => {
      const [file] = $('studio-file').files;
      if (file)
        file
          .arrayBuffer()
          .then((bytes) => load(bytes, false))
          .then(() => grow())
          .catch(tell);
    };
    return {
      open: openRoom,
      load: async (bytes) => {
        opened = true;
        await load(bytes, false);
        await grow();
      },
    };
  })();

  /* What outlives the tab: values by name, in the browser's own database. */
  const kept = (() => {
    const done = (request) =>
      new Promise((resolve, reject) => {
        request.onsuccess = () => resolve(request.result);
        request.onerror = () => reject(request.error);
      });
    const opened = indexedDB.open('drl', 1);
    opened.onupgradeneeded = () => opened.result.createObjectStore('kept');
    const store = done(opened).then((database) => (mode) =>
      database.transaction('kept', mode).objectStore('kept'),
    );
    store.catch(() => {}); // a browser that keeps nothing: who asks is told
    return {
      get: (name) => store.then((of) => done(of('readonly').get(name))),
      put: (name, value) => store.then((of) => done(of('readwrite').put(value, name))),
      clear: () => store.then((of) => done(of('readwrite').clear())),
    };
  })();

  /* --- your own ------------------------------------------------------------------------------------ */
  const own = (() => {
    let files = [],
      running = null,
      keeping = false /* the run, until it is forgotten */,
      seconds = 0; /* files: { file, folder } */

    /* NPY, CIFAR binary, and the names of MNIST's IDX files */
    const isData = ({ file }) => /\.(npy|bin)$|-ubyte$/.test(file.name);
    function list() {
      const folders = new Map();
      for (const f of files.filter((f) => !isData(f)))
        folders.set(f.folder, (folders.get(f.folder) || 0) + 1);
      const lines = files.filter(isData).map(({ file }) => `${file.name}: ${file.size} bytes`);
      for (const [name, n] of folders)
        lines.push(`${name || 'no folder'}: ${n} image${n === 1 ? '' : 's'}`);
      $('own-classes').replaceChildren(
        ...lines.map((text) => {
          const li = document.createElement('li');
          li.textContent = text;
          return li;
        }),
      );
      return [...folders.keys()];
    }
    const folderOf = (path) => path.split('/').slice(-2, -1)[0] || '';
    function add(more) {
      files = files.concat(more.filter((f) => isData(f) || f.file.type.startsWith('image/')));
      list();
    }
    $('own-files').onchange = () => add([...$('own-files').files].map((file) => ({ file, folder: '' })));
    $('own-folder').onchange = () =>
      add([...$('own-folder').files].map((file) => ({ file, folder: folderOf(file.webkitRelativePath) })));
    $('own-clear').onclick = () => {
      files = [];
      list();
      keeping = false;
      $('own-return').hidden = true;
      kept.clear().catch(tell);
    };
    const drop = $('own-drop');
    drop.ondragover = (e) => {
      e.preventDefault();
      drop.classList.add('over');
    };
    drop.ondragleave = () => drop.classList.remove('over');
    drop.ondrop = async (e) => {
      e.preventDefault();
      drop.classList.remove('over');
      const entries = [...e.dataTransfer.items].map((item) => item.webkitGetAsEntry()).filter(Boolean),
        found = [];
      const walk = async (entry, folder) => {
        if (entry.isFile) found.push({ file: await new Promise((ok, no) => entry.file(ok, no)), folder });
        else {
          const reader = entry.createReader();
          for (;;) {
            const some = await new Promise((ok, no) => reader.readEntries(ok, no));
            if (!some.length) break;
            for (const s of some) await walk(s, entry.name);
          }
        }
      };
      for (const entry of entries) await walk(entry, '');
      add(found);
    };

    /* RGBA of size x size: averaged (colour weighted by alpha), or centred and cut. */
    async function pixelsOf(file, size, average) {
      const bitmap = await createImageBitmap(file),
        canvas = document.createElement('canvas');
      canvas.width = bitmap.width;
      canvas.height = bitmap.height;
      const pen = canvas.getContext('2d', { willReadFrequently: true });
      pen.drawImage(bitmap, 0, 0);
      const from = pen.getImageData(0, 0, bitmap.width, bitmap.height),
        to = new Uint8ClampedArray(size * size * 4);
      const { width: w, height: h } = from,
        scale = average ? Math.max(w, h) / size : 1;
      const left = (w - size * scale) / 2,
        top = (h - size * scale) / 2;
      for (let j = 0; j < size; ++j)
        for (let i = 0; i < size; ++i) {
          const sum = [0, 0, 0, 0];
          let n = 0;
          const steps = Math.max(1, Math.ceil(scale));
          for (let v = 0; v < steps; ++v)
            for (let u = 0; u < steps; ++u) {
              const x = Math.floor(left + (i + (u + 0.5) / steps) * scale),
                y = Math.floor(top + (j + (v + 0.5) / steps) * scale);
              ++n;
              if (x < 0 || y < 0 || x >= w || y >= h) continue;
              const p = 4 * (y * w + x),
                a = from.data[p + 3];
              for (let k = 0; k < 3; ++k) sum[k] += from.data[p + k] * a;
              sum[3] += a;
            }
          const at = 4 * (j * size + i);
          for (let k = 0; k < 3; ++k) to[at + k] = sum[3] ? sum[k] / sum[3] : 0;
          to[at + 3] = sum[3] / n;
        }
      return to;
    }
    const state = (on) => {
      running = on;
      $('own-pause').disabled = on === null;
      $('own-pause').textContent = on === false ? 'Go on' : 'Pause';
      $('own-train').textContent = on === null ? 'Train' : 'Start again';
    };
    $('own-form').onsubmit = async (e) => {
      e.preventDefault();
      trouble('');
      const folders = list(),
        size = +$('own-size').value,
        average = $('own-fit').value === 'average';
      const data = files.filter(isData);
      if (!data.length && files.length < 2) {
        trouble('Add some images first.');
        return;
      }
      if (data.length && data.length < files.length) {
        trouble('Images or data files, not both.');
        return;
      }
      if (folders.length > 255) {
        trouble(`${folders.length} folders: 255 classes at most.`);
        return;
      }
      try {
        const minutes = +$('own-minutes').value;
        if (data.length) {
          const lengths = Int32Array.from(data, ({ file }) => file.size);
          const whole = new Blob([lengths, ...data.map(({ file }) => file)]);
          const images = new Uint8Array(await whole.arrayBuffer());
          await train({ images, count: data.length, seconds: 60 * minutes });
          return;
        }
        const images = new Uint8Array(files.length * (size * size * 4 + 1));
        for (let i = 0; i < files.length; ++i) {
          images.set(await pixelsOf(files[i].file, size, average), i * size * size * 4);
          images[files.length * size * size * 4 + i] = 1 + folders.indexOf(files[i].folder);
        }
        const run = { images, count: files.length, size, classes: folders.length };
        await train({ ...run, seconds: 60 * minutes });
      } catch (error) {
        tell(error);
      }
    };
    async function train(run, checkpoint) {
      await ask('ownBegin', { ...run, checkpoint });
      await ask('ownTrain', { on: true });
      seconds = run.seconds;
      state(true);
      $('own-download').disabled = $('own-open').disabled = false;
      $('own-return').hidden = true;
      keeping = true;
      if (checkpoint) return;
      await kept.clear();
      await kept.put('run', run);
    }
    /* The run is kept every 20 seconds, when it pauses or ends, and when the page goes out of sight. */
    const keep = () =>
      keeping &&
      ask('ownKeep')
        .then(async ({ checkpoint, step }) => {
          await kept.put('checkpoint', checkpoint);
          $('own-step').dataset.kept = step;
        })
        .catch(tell);
    setInterval(() => running && keep(), 20000);
    document.addEventListener('visibilitychange', () => document.hidden && running && keep());
    Promise.all([kept.get('run'), kept.get('checkpoint')])
      .then(([run, checkpoint]) => {
        $('own-return').hidden = !run || !checkpoint;
        $('own-return').onclick = () => {
          trouble('');
          train(run, checkpoint).catch(tell);
        };
      })
      .catch(() => {}); // nothing is kept
    $('own-pause').onclick = () => {
      state(!running);
      ask('ownTrain', { on: running })
        .then(() => running || keep())
        .catch(tell);
    };
    $('own-download').onclick = () =>
      ask('ownSave')
        .then((bytes) => download('model.safetensors', 'application/octet-stream', [bytes]))
        .catch(tell);
    $('own-open').onclick = () =>
      ask('ownSave')
        .then((bytes) => {
          open($('tab-studio'));
          return studio.load(bytes.buffer);
        })
        .catch(tell);
    events.own = ({ images, model }) => {
      const grid = gridOf(images, model, 4),
        canvas = $('own-grid');
      canvas.width = grid.width;
      canvas.height = grid.height;
      canvas.getContext('2d').drawImage(grid, 0, 0);
      canvas.dataset.seen = +(canvas.dataset.seen || 0) + 1;
    };
    return {
      trained({ report: r, done }) {
        const left = r.total && r.speed ? (r.total - r.step) / r.speed : Math.max(seconds - r.seconds, 0);
        $('own-step').textContent = r.step;
        $('own-loss').textContent = r.loss.toFixed(3);
        if (r.speed) $('own-speed').textContent = r.speed.toFixed(1);
        $('own-left').textContent = done
          ? 'done'
          : `${Math.floor(left / 60)}:${String(Math.round(left % 60)).padStart(2, '0')}`;
        $('own-progress').value = done ? 1 : r.total ? r.step / r.total : r.seconds / seconds;
        if (done) {
          state(null);
          keep();
        }
      },
    };
  })();

  ask('begin')
    .then(({ isa }) => {
      document.documentElement.dataset.isa = isa;
      const tab = tabs.find((t) => `#${t.getAttribute('aria-controls')}` === location.hash);
      if (tab) open(tab);
    })
    .catch(tell);
  window.drlPage = { ask }; /* for tests/web.mjs, and for the curious */
}

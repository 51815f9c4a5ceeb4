// Shows what is in the data scripts. Nothing is matched here: whether k
// proposals find an object is one comparison with the rank in its outcomes.
// Names are untrusted: they are set as text only.
'use strict';
(() => {
  const content = JSON.parse(document.getElementById('content').textContent);
  const { labels, protocols, ious, stops, classes, sizes } = content;
  const images = new Array(content.num_images).fill(null);
  const lists = new Map(); // proposals by `file-image`
  const requested = new Set();
  const PER_PAGE = 12;
  const REASONS = { '-1': 'taken', '-2': 'suppressed', '-3': 'near', '-4': 'none' };
  const HEADS = { beyond: 'beyond k', taken: 'taken', suppressed: 'suppressed', near: 'badly localized', none: 'none near' };
  if (!content.suppressed) delete HEADS.suppressed;
  const $ = (id) => document.getElementById(id);
  const SVG = 'http://www.w3.org/2000/svg';
  let page = 0;
  let loaded = 0;
  let redraw = 0;

  function load(name) {
    if (requested.has(name)) return;
    requested.add(name);
    const script = document.createElement('script');
    script.src = `data/${name}.js`;
    document.body.append(script);
  }

  window.addImages = (start, rows) => {
    rows.forEach((row, i) => { images[start + i] = row; });
    loaded += 1;
    if (loaded === content.num_scripts) {
      document.body.dataset.ready = '1';
      update();
    }
  };
  window.addProposals = (file, start, rows) => {
    rows.forEach((row, i) => lists.set(`${file}-${start + i}`, row));
    clearTimeout(redraw); // once for all lists of a page
    redraw = setTimeout(draw, 50);
  };

  function make(tag, attributes = {}, text = '') {
    const node = document.createElement(tag);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    node.textContent = text;
    return node;
  }

  function options(select, names) {
    select.replaceChildren(...names.map(([value, text]) => make('option', { value }, text)));
  }

  // ---- What is chosen
  const number = (id) => Number($(id).value);
  const chosen = () => ({
    protocol: number('protocol'), k: Math.max(1, number('k-number') || 1),
    iou: number('iou'), left: number('left'), right: number('right'),
  });
  // Entry of an object: rank, or a negative reason.
  const outcome = (object, file, state, iou = state.iou) => (
    object[6][(file * protocols.length + state.protocol) * ious.length + iou]);
  const isFound = (value, k) => value >= 0 && value < k;
  const reason = (value, k) => (value < 0 ? REASONS[value] : value < k ? 'met' : 'beyond');

  function matchesStatus(object, state) {
    const status = $('status').value;
    if (status === 'all') return true;
    const left = isFound(outcome(object, state.left, state), state.k);
    const right = state.right >= 0 && isFound(outcome(object, state.right, state), state.k);
    if (status === 'found') return left;
    if (status === 'missed') return !left;
    if (status === 'left') return left && !right;
    if (status === 'right') return right && !left;
    return !left && reason(outcome(object, state.left, state), state.k) === status;
  }

  function matches(object, state) {
    const of = $('class').value;
    const size = $('size').value;
    return (of === '' || object[0] === Number(of))
      && (size === '' || object[1] === Number(size)) && matchesStatus(object, state);
  }

  function selection(state) {
    const found = [];
    images.forEach((image, position) => {
      const objects = image[4].filter((object) => matches(object, state));
      if (!objects.length) return;
      const missed = objects.filter((o) => !isFound(outcome(o, state.left, state), state.k));
      found.push({ position, missed: missed.length, share: missed.length / objects.length });
    });
    if ($('order').value === 'worst') {
      found.sort((a, b) => b.missed - a.missed || b.share - a.share || a.position - b.position);
    }
    return found;
  }

  // ---- Numbers
  const percent = (part, whole) => (whole ? (100 * part / whole).toFixed(2) : '–');

  function live(state) {
    const objects = images.flatMap((image) => image[4]);
    const texts = labels.map((label, file) => {
      const hits = ious.map((_, t) => objects.filter((o) => isFound(outcome(o, file, state, t), state.k)).length);
      const recall = percent(hits[state.iou], objects.length);
      const mean = percent(hits.reduce((a, b) => a + b, 0) / ious.length, objects.length);
      const span = make('span', { 'data-file': file, 'data-recall': recall, 'data-ar': mean });
      span.textContent = `${label}: recall ${recall}% at IoU ${ious[state.iou].toFixed(2)}, AR@${state.k} ${mean}%. `;
      return span;
    });
    $('live').replaceChildren(...texts);
  }

  function whyTable(file, state) {
    const groups = new Map([['all', { number: 0 }], ...sizes.map((name) => [name, { number: 0 }])]);
    const byClass = new Map();
    const count = (group, key) => { group.number += 1; group[key] = (group[key] || 0) + 1; };
    for (const image of images) {
      for (const object of image[4]) {
        const key = reason(outcome(object, file, state), state.k);
        count(groups.get('all'), key);
        count(groups.get(sizes[object[1]]), key);
        if (!byClass.has(object[0])) byClass.set(object[0], { number: 0 });
        count(byClass.get(object[0]), key);
      }
    }
    const missed = (g) => g.number - (g.met || 0);
    const ordered = [...byClass].sort((a, b) => missed(b[1]) - missed(a[1]));
    const rows = [...groups, ...ordered.map(([c, group]) => [classes[c], group])];
    const table = make('table', { 'data-file': file });
    const head = table.createTHead().insertRow();
    for (const text of ['', 'objects', 'recall (%)', 'missed', ...Object.values(HEADS)]) head.append(make('th', { scope: 'col' }, text));
    const body = table.createTBody();
    for (const [name, group] of rows) {
      const row = body.insertRow();
      row.append(make('th', { scope: 'row' }, name));
      const cells = [group.number, percent(group.met || 0, group.number), missed(group), ...Object.keys(HEADS).map((key) => group[key] || 0)];
      for (const text of cells) row.append(make('td', {}, text));
    }
    const wrapper = make('div', { class: 'scroll' });
    wrapper.append(table);
    return wrapper;
  }

  // ---- Pictures
  function rectangle(svg, box, kind, title) {
    const layers = kind === 'found' || kind === 'missed' ? ['halo', kind] : [kind];
    let rect;
    for (const layer of layers) {
      rect = document.createElementNS(SVG, 'rect');
      ['x', 'y', 'width', 'height'].forEach((name, i) => rect.setAttribute(name, box[i]));
      rect.setAttribute('class', layer);
      svg.append(rect);
    }
    const label = document.createElementNS(SVG, 'title');
    label.textContent = title;
    rect.append(label);
  }

  function drawProposals(svg, position, file, state, unit) {
    const list = lists.get(`${file}-${position}`);
    if (!list) { load(`proposals-${file}-${Math.floor(position / content.lists)}`); return; }
    const [flat, scores] = list;
    let rank = 0;
    for (let i = 0; i < scores.length && rank < state.k; i += 1) {
      if (!(flat[5 * i + 4] >> state.protocol & 1)) continue;
      rank += 1;
      rectangle(svg, flat.slice(5 * i, 5 * i + 4), 'proposal', `rank ${rank}, score ${scores[i]}`);
      if (rank > 5) continue;
      const text = document.createElementNS(SVG, 'text');
      text.setAttribute('x', flat[5 * i] + unit / 4);
      text.setAttribute('y', flat[5 * i + 1] + unit);
      text.setAttribute('font-size', unit);
      text.textContent = scores[i];
      svg.append(text);
    }
  }

  function frame(position, file, state) {
    const [name, width, height, hasThumbnail, objects, others] = images[position];
    const extent = (side, from) => side || Math.max(1, ...[...objects.map((o) => o[from] + o[from + 2]), ...others.map((o) => o[from - 1] + o[from + 1])]);
    const [w, h] = [extent(width, 2), extent(height, 3)];
    const box = make('div', { class: 'frame', style: `aspect-ratio: ${w} / ${h}` });
    if (hasThumbnail) box.append(make('img', { src: `thumbs/${position}.jpg`, loading: 'lazy', alt: '' }));
    const svg = document.createElementNS(SVG, 'svg');
    svg.setAttribute('viewBox', `0 0 ${w} ${h}`);
    svg.setAttribute('role', 'img');
    for (const other of others) rectangle(svg, other.slice(1), 'base', `${classes[other[0]]}, not to be found`);
    if ($('boxes').checked) drawProposals(svg, position, file, state, Math.max(w, h) / 40);
    const missed = new Map();
    let number = 0;
    for (const object of objects) {
      const value = outcome(object, file, state);
      const found = isFound(value, state.k);
      const why = reason(value, state.k);
      number += found ? 1 : 0;
      const text = found ? `found at rank ${value + 1}` : `missed: ${content.reasons[why]}`;
      rectangle(svg, object.slice(2, 6), found ? 'found' : 'missed', `${classes[object[0]]}, ${text}`);
      const entry = `${classes[object[0]]} (${HEADS[why]})`;
      if (!found) missed.set(entry, (missed.get(entry) || 0) + 1);
    }
    const summary = `${labels[file]}: ${number} of ${objects.length} found` + (missed.size ? `; missed: ${[...missed].map(([entry, n]) => (n > 1 ? `${n} × ${entry}` : entry)).join(', ')}` : '');
    svg.setAttribute('aria-label', summary);
    box.append(svg);
    const node = make('div');
    node.append(box, make('p', { 'data-found': number, 'data-objects': objects.length }, summary));
    return node;
  }

  function draw() {
    if (!document.body.dataset.ready) return;
    const state = chosen();
    const found = selection(state);
    const last = Math.max(0, Math.ceil(found.length / PER_PAGE) - 1);
    page = Math.min(page, last);
    const two = state.right >= 0;
    $('images').className = two ? 'two' : '';
    const nodes = found.slice(page * PER_PAGE, (page + 1) * PER_PAGE).map(({ position }) => {
      const item = make('article', { class: 'item', 'data-image': position });
      const pair = make('div', { class: 'pair' });
      pair.append(frame(position, state.left, state));
      if (two) pair.append(frame(position, state.right, state));
      item.append(pair, make('p', { class: 'name' }, images[position][0] + (images[position][3] ? '' : ' (no image)')));
      return item;
    });
    $('images').replaceChildren(...(nodes.length ? nodes : [make('p', { class: 'none' }, 'No image has such an object.')]));
    $('count').textContent = `${found.length} images, page ${page + 1} of ${last + 1}`;
    $('count').dataset.images = found.length;
    $('previous').disabled = page === 0;
    $('next').disabled = page === last;
  }

  function update() {
    const state = chosen();
    $('iou-text').textContent = ious[state.iou].toFixed(2);
    $('iou').setAttribute('aria-valuetext', ious[state.iou].toFixed(2));
    $('k').setAttribute('aria-valuetext', `${state.k} proposals`);
    for (const node of document.querySelectorAll('.of-protocol')) node.hidden = node.dataset.protocol !== protocols[state.protocol];
    if (!document.body.dataset.ready) return;
    live(state);
    $('why').replaceChildren(...labels.flatMap((label, file) => [make('h3', {}, label), whyTable(file, state)]));
    draw();
  }

  // ---- Controls
  function fill() {
    options($('protocol'), protocols.map((name, i) => [i, name]));
    options($('left'), labels.map((name, i) => [i, name]));
    options($('right'), [[-1, 'nothing'], ...labels.map((name, i) => [i, name])]);
    $('right').value = labels.length > 1 ? 1 : -1;
    options($('class'), [['', 'all'], ...classes.map((name, i) => [i, name])]);
    options($('size'), [['', 'all'], ...sizes.map((name, i) => [i, name])]);
    options($('status'), [['all', 'all'], ['missed', 'missed (left)'], ['found', 'found (left)'],
      ['left', 'only left finds'], ['right', 'only right finds'],
      ...Object.entries(HEADS).map(([key, name]) => [key, `missed (left): ${name}`])]);
    $('k').max = stops.length - 1;
    $('k').value = stops.indexOf(content.k);
    $('k-number').value = content.k;
    $('iou').max = ious.length - 1;
    $('iou').value = 0;
  }

  function setK(position) {
    $('k').value = position;
    $('k-number').value = stops[Number($('k').value)];
    update();
  }

  function turn(step) {
    page = Math.max(0, page + step);
    draw();
  }

  function toggleHelp() {
    $('help').hidden = !$('help').hidden;
    $('help-button').setAttribute('aria-expanded', String(!$('help').hidden));
  }

  const keys = {
    ',': () => setK(number('k') - 1), '.': () => setK(number('k') + 1),
    '[': () => { $('iou').value = number('iou') - 1; update(); },
    ']': () => { $('iou').value = number('iou') + 1; update(); },
    p: () => turn(-1), n: () => turn(1), '?': toggleHelp,
    b: () => { $('boxes').checked = !$('boxes').checked; draw(); },
    m: () => { $('status').value = $('status').value === 'missed' ? 'all' : 'missed'; page = 0; draw(); },
  };

  fill();
  $('controls').addEventListener('submit', (event) => event.preventDefault());
  $('k').addEventListener('input', () => setK(number('k')));
  $('k-number').addEventListener('input', () => {
    const larger = stops.findIndex((stop) => stop >= chosen().k);
    $('k').value = larger < 0 ? stops.length - 1 : larger;
    update();
  });
  for (const id of ['protocol', 'iou']) $(id).addEventListener('input', update);
  for (const id of ['left', 'right', 'class', 'size', 'status', 'order', 'boxes']) {
    $(id).addEventListener('input', () => { page = 0; draw(); });
  }
  $('previous').addEventListener('click', () => turn(-1));
  $('next').addEventListener('click', () => turn(1));
  $('help-button').addEventListener('click', toggleHelp);
  for (const link of document.querySelectorAll('[data-class]')) {
    link.addEventListener('click', () => {
      $('class').value = link.dataset.class;
      $('status').value = 'missed';
      page = 0;
      draw();
    });
  }
  document.addEventListener('keydown', (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches('select, input[type=number]')) return;
    const action = keys[event.key];
    if (action && document.body.dataset.ready) { event.preventDefault(); action(); }
  });
  for (let i = 0; i < content.num_scripts; i += 1) load(`objects-${i}`);
  update();
})();

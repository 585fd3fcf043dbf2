(() => {
'use strict';

// What the page holds. `paths` are [folder, name]; `layers` are [name, digest, compressed, unpacked, files].
const data = JSON.parse(document.getElementById('data').textContent);
const byId = (id) => document.getElementById(id);
const main = byId('main');

/** An element with attributes, listeners (onclick..) and children; texts are texts, never markup. */
function el(tag, attributes, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith('on')) node.addEventListener(name.slice(2), value);
    else if (name === 'style') node.style.cssText = value;
    else node.setAttribute(name, value === true ? '' : value);
  }
  node.append(...children.flat(9).filter((child) => child !== null && child !== undefined));
  return node;
}

function bytes(count) {
  if (count < 1000) return `${count} B`;
  const [unit, name] = count < 100000 ? [1000, 'kB'] : [1000000, 'MB'];
  return `${(Math.floor((count * 10 + unit / 2) / unit) / 10).toFixed(1)} ${name}`;
}
const percent = (part, whole) => (whole > 0 ? `${((part / whole) * 100).toFixed(1)} %` : '');
const many = (count, one) => `${count} ${one}${count === 1 ? '' : 's'}`;

// ---- one image, taken apart when it is first looked at

const views = [];
function view(number) {
  if (views[number]) return views[number];
  const image = data.images[number];
  const files = image.files.map(([path, size, kind, pkg, mode, layer], index) => {
    const [folder, name] = data.paths[path];
    return { index, path: `${data.folders[folder]}/${name}`, name, size, kind, pkg, mode, layer };
  });
  const shares = image.shares.map(([what, above], index) => {
    const file = typeof what === 'number' ? files[what] : null;
    return { index, file, name: file ? file.name : what, above, own: file ? file.size : 0, files: file ? 1 : 0, below: [] };
  });
  for (const share of shares) share.total = share.own;
  for (let index = shares.length - 1; index > 0; index -= 1) {
    const share = shares[index];
    shares[share.above].total += share.total;
    shares[share.above].files += share.files;
    shares[share.above].below.unshift(index);
  }
  const ofFile = new Map();
  for (const share of shares) if (share.file) ofFile.set(share.file.index, share);
  const pairs = (row) => {
    const list = [];
    for (let at = 0; at < row.length; at += 2) list.push({ to: row[at], note: data.notes[row[at + 1]] });
    return list;
  };
  const askers = image.web.askers.map(([name, place, row]) => ({ name, place, below: pairs(row) }));
  const below = new Map(image.web.edges.map(([from, row]) => [from, pairs(row)]));
  views[number] = { image, files, shares, ofFile, askers, below };
  return views[number];
}

/** For each file the shortest way from what asks for it: {asker} or {from}, and the note. */
function ways(v) {
  if (v.ways) return v.ways;
  const found = new Map();
  const open = [];
  v.askers.forEach((asker) => asker.below.forEach(({ to, note }) => {
    if (!found.has(to)) { found.set(to, { asker, note }); open.push(to); }
  }));
  for (let at = 0; at < open.length; at += 1) {
    for (const { to, note } of v.below.get(open[at]) || []) {
      if (!found.has(to)) { found.set(to, { from: open[at], note }); open.push(to); }
    }
  }
  v.ways = found;
  return found;
}

// ---- what is shown

const state = { image: 0, tab: null, zoom: 0, query: '' };
const several = data.images.length > 1;

const tabs = [
  several && { id: 'workspace', name: 'Workspace', show: workspace },
  { id: 'size', name: 'Size', show: size },
  { id: 'reasons', name: 'Reasons', show: reasons },
  { id: 'packages', name: 'Packages', show: packages, count: (i) => i.packages.length },
  { id: 'policy', name: 'Policy', show: policy, count: (i) => i.findings.length },
  { id: 'hardening', name: 'Hardening', show: hardening, count: (i) => i.objects.length },
  { id: 'configuration', name: 'Configuration', show: configuration },
  { id: 'layers', name: 'Layers', show: layers, count: (i) => i.layers.length },
].filter(Boolean);

function head() {
  const image = data.images[state.image];
  const download = image.layers.reduce((sum, layer) => sum + data.layers[layer][2], 0);
  byId('facts').replaceChildren(
    el('div', null, several ? `${many(data.images.length, 'image')}. Shown: ` : null,
      several ? el('b', null, image.name) : null,
      several ? ' ' : null, `${image.platform}, `, el('code', null, image.digest)),
    el('div', { class: 'figures' },
      [[bytes(image.size), 'unpacked'], [bytes(download), 'to download'], [image.files.length, 'files and links'],
        [image.packages.length, 'packages'], [image.findings.length, 'policy findings']]
        .map(([value, name]) => el('div', { class: 'figure' }, el('b', null, String(value)), el('span', null, name)))));
}

function bar() {
  if (!several) return;
  byId('bar').replaceChildren(el('label', { for: 'image' }, 'Image'), el('select', {
    id: 'image',
    onchange: (event) => { state.image = Number(event.target.value); state.zoom = 0; state.query = ''; show(); },
  }, data.images.map((image, index) => el('option', { value: index, selected: index === state.image }, image.name))));
}

function tablist() {
  const image = data.images[state.image];
  byId('tabs').replaceChildren(...tabs.map((tab) => el('button', {
    role: 'tab', id: `tab-${tab.id}`, 'aria-controls': 'panel', 'aria-selected': String(tab.id === state.tab),
    tabindex: tab.id === state.tab ? 0 : -1, onclick: () => select(tab.id),
  }, tab.name, tab.count ? el('span', { class: 'count' }, String(tab.count(image))) : null)));
}

byId('tabs').addEventListener('keydown', (event) => {
  const at = tabs.findIndex((tab) => tab.id === state.tab);
  const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: tabs.length - 1 }[event.key];
  if (to === undefined) return;
  event.preventDefault();
  select(tabs[(to + tabs.length) % tabs.length].id);
  byId(`tab-${state.tab}`).focus();
});

function select(id) {
  state.tab = id;
  history.replaceState(null, '', `#${id}`);
  show();
}

function show() {
  head();
  bar();
  tablist();
  const tab = tabs.find((known) => known.id === state.tab);
  const panel = el('div', { role: 'tabpanel', id: 'panel', 'aria-labelledby': `tab-${tab.id}` });
  main.replaceChildren(panel);
  tab.show(panel, view(state.image));
}

document.addEventListener('keydown', (event) => {
  const search = main.querySelector('input[type=search]');
  if (event.key === '/' && search && !/^(INPUT|SELECT)$/.test(document.activeElement.tagName)) {
    event.preventDefault();
    search.focus();
  }
});

// ---- tables that sort and filter

/** `columns`: {name, number?, value(row) to sort and search, cell?(row)}. */
function table(rows, columns, { label, sort = 0, descending = false, filter = true, more }) {
  const by = { column: sort, descending };
  const body = el('tbody');
  const heads = columns.map((column, at) => el('th', { scope: 'col', class: column.number ? 'number' : null },
    el('button', {
      onclick: () => {
        by.descending = by.column === at ? !by.descending : Boolean(column.number);
        by.column = at;
        fill();
      },
    }, column.name)));
  const input = el('input', {
    type: 'search', placeholder: 'Filter', 'aria-label': `Filter ${label}`,
    oninput: () => fill(),
    onkeydown: (event) => { if (event.key === 'Escape') { input.value = ''; fill(); } },
  });
  const told = el('span', { class: 'soft', role: 'status' });
  function fill() {
    heads.forEach((head, at) => head.setAttribute('aria-sort',
      at !== by.column ? 'none' : by.descending ? 'descending' : 'ascending'));
    const word = input.value.toLowerCase();
    const seen = rows.filter((row) => (!more || more.holds(row))
      && (!word || columns.some((column) => String(column.value(row)).toLowerCase().includes(word))));
    const { value } = columns[by.column];
    seen.sort((a, b) => {
      const [x, y] = [value(a), value(b)];
      const order = x < y ? -1 : x > y ? 1 : 0;
      return by.descending ? -order : order;
    });
    told.textContent = `${seen.length} of ${rows.length}`;
    body.replaceChildren(...seen.map((row) => el('tr', null, columns.map((column) => el('td',
      { class: column.number ? 'number' : null }, column.cell ? column.cell(row) : String(column.value(row)))))));
  }
  fill();
  return el('div', null,
    filter ? el('div', { class: 'bar', style: 'margin:0 0 10px' }, input, more ? more.control(fill) : null, told) : null,
    el('div', { class: 'scroll', tabindex: 0, role: 'region', 'aria-label': label },
      el('table', null, el('thead', null, el('tr', null, heads)), body)));
}

const path = (text) => el('span', { class: 'path' }, text);
const empty = (text) => el('p', { class: 'soft' }, text);

// ---- size

const CAN_BE_SEEN = 150;
const DEEPEST = 7;

/** Rectangles of given areas, as near to squares as they get; weights in descending order. */
function squarify(weights, within) {
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  const list = [];
  if (!(total > 0)) return weights.map(() => ({ ...within, w: 0, h: 0 }));
  const scale = (within.w * within.h) / total;
  const rest = { ...within };
  let start = 0;
  const worst = (large, small, sum, side) => (small <= 0 || side <= 0 ? Infinity
    : Math.max((side * side * large) / (sum * sum), (sum * sum) / (side * side * small)));
  while (start < weights.length) {
    const side = Math.min(rest.w, rest.h);
    let end = start + 1;
    let sum = weights[start] * scale;
    while (end < weights.length) {
      const next = weights[end] * scale;
      if (worst(weights[start] * scale, next, sum + next, side)
        > worst(weights[start] * scale, weights[end - 1] * scale, sum, side)) break;
      sum += next;
      end += 1;
    }
    const thick = side > 0 ? sum / side : 0;
    let along = 0;
    for (; start < end; start += 1) {
      const length = thick > 0 ? (weights[start] * scale) / thick : 0;
      list.push(rest.w >= rest.h ? { x: rest.x, y: rest.y + along, w: thick, h: length }
        : { x: rest.x + along, y: rest.y, w: length, h: thick });
      along += length;
    }
    if (rest.w >= rest.h) { rest.x += thick; rest.w = Math.max(0, rest.w - thick); } else { rest.y += thick; rest.h = Math.max(0, rest.h - thick); }
  }
  return list;
}

function size(panel, v) {
  const crumbs = el('nav', { class: 'crumbs', 'aria-label': 'Where the map is' });
  const map = el('div', { class: 'map', role: 'group', 'aria-label': 'What brings how many bytes. Arrows left and right go to neighbours, down into a group, up out of it; Enter opens, Escape goes back.' });
  const told = el('div', { class: 'told', 'aria-live': 'polite' });
  panel.append(
    el('section', { class: 'card' }, el('h2', null, 'What would go without it'),
      el('p', { class: 'soft' }, 'Each area stands inside of what alone brings it: take that away, and everything in it goes. What several need stands together.'),
      crumbs, map, told),
    el('section', { class: 'card' }, el('h2', null, 'What brings most'), savings(v)));

  function top(index) {
    let at = index;
    while (v.shares[at].above !== 0) at = v.shares[at].above;
    return at;
  }
  const groups = v.shares[0].below.filter((index) => v.shares[index].total > 0);
  const colour = new Map();
  let used = 0;
  for (const index of groups) {
    const grey = v.shares[index].name === 'made by mkimage';
    colour.set(index, grey ? 7 : used % 7);
    if (!grey) used += 1;
  }

  function cells(below, rect, self) {
    const seen = below.map((index) => v.shares[index]).filter((share) => share.total > 0);
    const own = self ? self.own : 0;
    const total = seen.reduce((sum, share) => sum + share.total, own);
    const cut = seen.findIndex((share) => (share.total / total) * rect.w * rect.h < CAN_BE_SEEN);
    const large = cut < 0 ? seen : seen.slice(0, cut);
    const small = cut < 0 ? [] : seen.slice(cut);
    const list = large.map((share) => ({ share, weight: share.total }));
    if (small.length === 1) list.push({ share: small[0], weight: small[0].total });
    else if (small.length) {
      list.push({ rest: small, weight: small.reduce((sum, share) => sum + share.total, 0) });
      list.sort((a, b) => b.weight - a.weight);
    }
    if (own) {
      list.push({ self, weight: own });
      list.sort((a, b) => b.weight - a.weight);
    }
    return list.map((cell, at) => ({ ...cell, rect: squarify(list.map((c) => c.weight), rect)[at] }));
  }

  function say(share) {
    const file = share.file;
    const rows = [el('div', null, el('b', { class: 'name' }, file ? file.path : share.name), ` ${bytes(share.total)}, ${percent(share.total, v.shares[0].total)} of the image`)];
    if (share.index === 0) rows.push(el('div', { class: 'soft' }, `${many(share.files, 'file')} and links. Point at an area, or go to it with Tab and the arrows.`));
    else if (share.name === 'needed by several' && !file) rows.push(el('div', { class: 'soft' }, `${many(share.files, 'file')} that more than one entry brings: none of these alone would save them.`));
    else rows.push(el('div', { class: 'soft' }, `Without it the image would be ${bytes(share.total)} smaller, by ${many(share.files, 'file')}`, share.own ? `; ${bytes(share.own)} of these are its own.` : '.'));
    if (file) {
      const pkg = file.pkg === null ? null : v.image.packages[file.pkg];
      rows.push(el('div', { class: 'soft' }, pkg ? `Package ${pkg[0]} ${pkg[1]}. ` : null,
        el('button', { class: 'link', onclick: () => { state.query = file.path; select('reasons'); } }, 'Why it is here')));
    }
    told.replaceChildren(...rows);
  }

  const spots = [];
  function draw() {
    spots.length = 0;
    map.replaceChildren();
    const root = v.shares[state.zoom];
    const trail = [];
    for (let at = state.zoom; ; at = v.shares[at].above) { trail.unshift(at); if (at === 0) break; }
    crumbs.replaceChildren(...trail.flatMap((at, n) => [n ? el('span', { 'aria-hidden': 'true' }, '›') : null,
      at === state.zoom ? el('b', { 'aria-current': 'true', class: 'name' }, v.shares[at].name)
        : el('button', { onclick: () => zoom(at) }, v.shares[at].name)].filter(Boolean)));
    const width = map.clientWidth;
    const height = map.clientHeight;
    const place = (list, parent, depth) => list.forEach((cell, at) => {
      const { x, y, w, h } = cell.rect;
      const rect = { x: x + 1, y: y + 1, w: Math.max(1, w - 2), h: Math.max(1, h - 2) };
      const { share } = cell;
      const inside = share ? share.below.filter((index) => v.shares[index].total > 0) : [];
      const group = inside.length > 0 && depth < DEEPEST && rect.w > 44 && rect.h > 34;
      const about = share || cell.self;
      const name = share ? share.name : cell.self ? 'itself' : `${cell.rest.length} more`;
      const label = cell.self ? `${cell.self.name} itself, ${bytes(cell.weight)}` : share ? `${share.file ? share.file.path : share.name}, ${bytes(cell.weight)}, ${percent(cell.weight, v.shares[0].total)}${inside.length ? ', opens' : ''}` : `${name}, ${bytes(cell.weight)}`;
      const hue = colour.get(top(about ? about.index : cell.rest[0].index));
      const spot = { parent, children: [], share, rest: cell.rest, self: cell.self };
      const labelled = rect.h >= 15 && rect.w > 24;
      const oneLine = group || rect.h < 34;
      spot.node = el('button', {
        class: `cell k${hue === undefined ? 7 : hue}${group ? ' group' : ''}${share ? '' : cell.self ? ' self' : ' rest'}`,
        style: `left:${rect.x}px;top:${rect.y}px;width:${rect.w}px;height:${rect.h}px;${labelled ? '' : 'padding:0'}`,
        'aria-label': label, tabindex: -1, title: label,
        onclick: () => open(spot),
        onfocus: () => { focus(spot, false); if (about) say(about); },
        onpointerenter: () => { if (about) say(about); },
      }, labelled ? el('span', { class: 'label' }, name, oneLine ? el('span', { class: 'size' }, `  ${bytes(cell.weight)}`) : null) : null,
      labelled && !oneLine ? el('span', { class: 'label size' }, bytes(cell.weight)) : null);
      map.append(spot.node);
      spots.push(spot);
      (parent ? parent.children : tops).push(spot);
      if (group) {
        const inner = { x: rect.x + 2, y: rect.y + 18, w: rect.w - 4, h: rect.h - 20 };
        place(cells(inside, inner, share), spot, depth + 1);
      }
    });
    const tops = [];
    const start = root.below.filter((index) => v.shares[index].total > 0);
    place(start.length ? cells(start, { x: 0, y: 0, w: width, h: height }, root) : [{ share: root, weight: root.total, rect: { x: 0, y: 0, w: width, h: height } }], null, start.length ? 0 : DEEPEST);
    map.tops = tops;
    if (spots[0]) spots[0].node.tabIndex = 0;
    say(root);
  }
  function zoom(index, from) {
    state.zoom = index;
    draw();
    const at = spots.find((spot) => spot.share && spot.share.index === from) || spots[0];
    if (from !== undefined && at) focus(at, true);
  }
  function open(spot) {
    if (spot.share && spot.share.below.some((index) => v.shares[index].total > 0)) zoom(spot.share.index, -1);
    else if (spot.rest && state.zoom !== spot.rest[0].above) zoom(spot.rest[0].above, -1);
    else if (spot.share || spot.self) {
      spots.forEach((other) => other.node.removeAttribute('aria-pressed'));
      spot.node.setAttribute('aria-pressed', 'true');
      say(spot.share || spot.self);
    }
  }
  function focus(spot, move) {
    spots.forEach((other) => { other.node.tabIndex = other === spot ? 0 : -1; });
    if (move) spot.node.focus();
  }
  map.addEventListener('keydown', (event) => {
    const spot = spots.find((known) => known.node === document.activeElement);
    if (!spot) return;
    const row = spot.parent ? spot.parent.children : map.tops;
    const at = row.indexOf(spot);
    const to = { ArrowRight: row[at + 1], ArrowLeft: row[at - 1], ArrowDown: spot.children[0], ArrowUp: spot.parent, Home: row[0], End: row[row.length - 1] };
    if (event.key in to) {
      event.preventDefault();
      if (to[event.key]) focus(to[event.key], true);
    } else if (event.key === 'Escape' && state.zoom !== 0) {
      event.preventDefault();
      zoom(v.shares[state.zoom].above, state.zoom);
    }
  });
  draw();
  if (size.observer) size.observer.disconnect();
  const extent = () => `${map.clientWidth} ${map.clientHeight}`;
  let last = extent();
  size.observer = new ResizeObserver(() => {
    if (extent() !== last) { last = extent(); draw(); }
  });
  size.observer.observe(map);
}

/** Shares that bring more than themselves. */
function savings(v) {
  const rows = v.shares.filter((share) => share.index > 0 && share.total > share.own && share.name !== 'needed by several')
    .sort((a, b) => b.total - a.total).slice(0, 60);
  if (!rows.length) return empty('Nothing brings anything else.');
  return table(rows, [
    { name: 'without this', value: (share) => (share.file ? share.file.path : share.name), cell: (share) => (share.file ? path(share.file.path) : el('span', { class: 'name' }, share.name)) },
    { name: 'saves', number: true, value: (share) => share.total, cell: (share) => bytes(share.total) },
    { name: 'of the image', number: true, value: (share) => share.total, cell: (share) => percent(share.total, v.shares[0].total) },
    { name: 'its own', number: true, value: (share) => share.own, cell: (share) => bytes(share.own) },
    { name: 'files', number: true, value: (share) => share.files },
  ], { label: 'What brings most', sort: 1, descending: true });
}

// ---- reasons

function reasons(panel, v) {
  const results = el('div');
  const input = el('input', {
    type: 'search', id: 'search', placeholder: 'Path, name or package', value: state.query,
    oninput: () => { state.query = input.value; fill(); },
    onkeydown: (event) => { if (event.key === 'Escape') { input.value = ''; state.query = ''; fill(); } },
  });
  panel.append(el('section', { class: 'card' }, el('h2', null, 'Why each file is there'),
    el('div', { class: 'bar', style: 'margin:0 0 12px' }, el('label', { for: 'search' }, 'Search'), input), results));
  function fill() {
    const word = state.query.trim().toLowerCase();
    results.replaceChildren(word ? found(v, word) : tree(v));
  }
  fill();
}

function marked(text, word) {
  const at = text.toLowerCase().indexOf(word);
  if (at < 0) return [text];
  return [text.slice(0, at), el('mark', null, text.slice(at, at + word.length)), text.slice(at + word.length)];
}

const MOST_FOUND = 200;

function found(v, word) {
  const pkg = (file) => (file.pkg === null ? '' : v.image.packages[file.pkg][0]);
  const list = v.files.filter((file) => file.path.toLowerCase().includes(word) || pkg(file).toLowerCase().includes(word));
  const ofFile = ways(v);
  const chain = (file) => {
    const steps = [];
    let at = file.index;
    for (let n = 0; n < 64; n += 1) {
      const way = ofFile.get(at);
      if (!way) break;
      if (way.asker) { steps.unshift(el('div', { class: 'what' }, way.asker.name, way.asker.place ? el('span', { class: 'soft' }, ` ${way.asker.place}`) : null)); break; }
      steps.unshift(path(v.files[way.from].path));
      at = way.from;
    }
    return steps;
  };
  return el('div', null, el('p', { class: 'soft', role: 'status' }, list.length > MOST_FOUND ? `${list.length} found, the first ${MOST_FOUND}:` : `${list.length} found`),
    list.slice(0, MOST_FOUND).map((file) => el('div', { style: 'padding:8px 0;border-top:1px solid var(--line)' },
      el('div', { class: 'row' }, el('span', { class: 'what path' }, marked(file.path, word)), el('span', { class: 'number' }, bytes(file.size))),
      el('div', { class: 'soft', style: 'padding-left:6px;font-size:13px' }, pkg(file) ? [`package ${pkg(file)} `, el('br')] : null,
        chain(file).flatMap((step, n) => [el('div', { style: `padding-left:${Math.min(n, 8) * 14}px` }, step)])))));
}

/** The tree of reasons; what is below an item is made when it is opened. */
function tree(v) {
  const list = el('ul', { role: 'tree', 'aria-label': 'Reasons' });
  const saves = (share) => (share ? share.total : 0);
  const add = (parent, what, key, number, below, above, level) => {
    const row = el('div', { class: 'row' }, el('span', { class: 'twist', 'aria-hidden': 'true' }, below.length ? '▸' : ''),
      el('span', { class: 'what' }, what), el('span', { class: 'number' }, number));
    const item = el('li', { role: 'treeitem', tabindex: -1, 'aria-level': level, 'aria-expanded': below.length ? 'false' : null }, row);
    item.open = () => {
      if (!below.length || item.getAttribute('aria-expanded') === 'true') return;
      item.setAttribute('aria-expanded', 'true');
      row.firstChild.textContent = '▾';
      const group = el('ul', { role: 'group' });
      below.forEach(({ to, note }) => {
        const file = v.files[to];
        const again = above.includes(to);
        const next = again ? [] : v.below.get(to) || [];
        const words = [path(file.path), note ? el('span', { class: 'soft' }, ` ${note}`) : null, again ? el('span', { class: 'soft' }, ' (above)') : null];
        add(group, words, to, bytes(file.size), next, [...above, to], level + 1);
      });
      item.append(group);
    };
    item.close = () => {
      if (item.getAttribute('aria-expanded') !== 'true') return;
      item.setAttribute('aria-expanded', 'false');
      row.firstChild.textContent = '▸';
      item.lastChild.remove();
    };
    row.addEventListener('click', () => {
      if (item.getAttribute('aria-expanded') === 'true') item.close(); else item.open();
      go(item);
    });
    parent.append(item);
  };
  v.askers.forEach((asker) => {
    const share = v.shares.find((known) => !known.file && known.name === asker.name);
    add(list, [el('b', { style: 'font-weight:600' }, asker.name), asker.place ? el('span', { class: 'soft' }, ` ${asker.place}`) : null,
      el('span', { class: 'soft' }, ` (${asker.below.length})`)], asker.name, share ? `alone ${bytes(saves(share))}` : '', asker.below, [], 1);
  });
  const items = () => [...list.querySelectorAll('[role=treeitem]')];
  function go(item) {
    items().forEach((other) => { other.tabIndex = other === item ? 0 : -1; });
    item.focus();
  }
  list.addEventListener('keydown', (event) => {
    const item = document.activeElement.closest('[role=treeitem]');
    if (!item) return;
    const all = items();
    const at = all.indexOf(item);
    const opened = item.getAttribute('aria-expanded');
    let to;
    if (event.key === 'ArrowDown') to = all[at + 1];
    else if (event.key === 'ArrowUp') to = all[at - 1];
    else if (event.key === 'Home') to = all[0];
    else if (event.key === 'End') to = all[all.length - 1];
    else if (event.key === 'ArrowRight') { if (opened === 'false') item.open(); else if (opened) to = all[at + 1]; } else if (event.key === 'ArrowLeft') {
      if (opened === 'true') item.close(); else to = item.parentElement.closest('[role=treeitem]');
    } else if (event.key === 'Enter' || event.key === ' ') { if (opened === 'true') item.close(); else item.open(); } else return;
    event.preventDefault();
    if (to) go(to);
  });
  const first = list.querySelector('[role=treeitem]');
  if (first) first.tabIndex = 0;
  return first ? list : empty('Nothing is known of reasons.');
}

// ---- packages, policy, hardening, configuration, layers

function packages(panel, v) {
  const rows = v.image.packages.map(([name, version, source, sourceVersion, architecture]) => ({ name, version, source, sourceVersion, architecture, files: 0, size: 0 }));
  for (const file of v.files) if (file.pkg !== null) { rows[file.pkg].files += 1; rows[file.pkg].size += file.size; }
  const unowned = v.files.filter((file) => file.pkg === null).reduce((sum, file) => sum + file.size, 0);
  panel.append(el('section', { class: 'card' }, el('h2', null, 'Packages'),
    rows.length ? table(rows, [
      { name: 'package', value: (row) => row.name },
      { name: 'version', value: (row) => row.version, cell: (row) => el('span', { class: 'mono' }, row.version) },
      { name: 'source', value: (row) => (row.source === row.name ? row.source : `${row.source} ${row.sourceVersion}`) },
      { name: 'for', value: (row) => row.architecture },
      { name: 'files', number: true, value: (row) => row.files },
      { name: 'size', number: true, value: (row) => row.size, cell: (row) => bytes(row.size) },
    ], { label: 'Packages', sort: 5, descending: true }) : empty('The image has no records of packages.'),
    rows.length ? el('p', { class: 'soft' }, `${bytes(unowned)} are of no package: of the recipe, made by mkimage, or links.`) : null));
}

const LEVEL = { deny: 'bad', warn: 'warn', allow: 'plain' };

function policy(panel, v) {
  panel.append(el('section', { class: 'card' }, el('h2', null, 'Policy'),
    el('p', { class: 'soft' }, v.image.told ? 'By the recipe’s own policy.' : 'By the rules as they stand when no recipe sets one.'),
    v.image.findings.length ? v.image.findings.map(([rule, code, verdict, summary, paths]) => el('details', { open: paths.length <= 8 },
      el('summary', null, el('span', { class: `tag ${LEVEL[verdict]}` }, verdict), ` ${rule} `, el('span', { class: 'soft' }, `${code}${paths.length ? `, ${many(paths.length, 'path')}` : ''}`)),
      el('p', { class: 'name' }, summary),
      paths.length ? el('div', { class: 'scroll', tabindex: 0, role: 'region', 'aria-label': `Paths of ${rule}` }, el('table', null, el('thead', null, el('tr', null, el('th', { scope: 'col' }, 'path'), el('th', { scope: 'col' }, 'what'))),
        el('tbody', null, paths.map(([where, what]) => el('tr', null, el('td', null, path(where)), el('td', { class: 'name' }, what)))))) : null))
      : el('p', null, el('span', { class: 'tag good' }, 'passes'), ' No rule is broken.')));
}

function hardening(panel, v) {
  const names = v.image.facts;
  const rows = v.image.objects.map(([file, facts]) => ({ file: v.files[file], facts, weak: facts.filter(([, weak]) => weak).length }));
  const only = el('input', { type: 'checkbox', id: 'weak' });
  panel.append(el('section', { class: 'card' }, el('h2', null, 'Hardening'),
    rows.length ? table(rows, [
      { name: 'file', value: (row) => row.file.path, cell: (row) => path(row.file.path) },
      ...names.map((name, at) => ({ name, value: (row) => row.facts[at][0], cell: (row) => el('span', { class: row.facts[at][1] ? 'weak' : 'soft' }, row.facts[at][1] ? `! ${row.facts[at][0]}` : row.facts[at][0]) })),
    ], {
      label: 'Hardening',
      more: {
        holds: (row) => !only.checked || row.weak > 0,
        control: (fill) => { only.addEventListener('change', fill); return el('label', { for: 'weak', style: 'display:flex;gap:6px;align-items:center' }, only, 'only what is worth a look'); },
      },
    }) : empty('The image has no programs or libraries.')));
}

function configuration(panel, v) {
  panel.append(el('section', { class: 'card' }, el('h2', null, 'Configuration'), table(v.image.settings, [
    { name: 'setting', value: (row) => row[0], cell: (row) => el('span', { class: 'name' }, row[0]) },
    { name: 'value', value: (row) => row[1], cell: (row) => el('code', null, row[1]) },
  ], { label: 'Configuration' })));
}

function layers(panel, v) {
  const uses = (layer) => data.images.filter((image) => image.layers.includes(layer)).length;
  const rows = v.image.layers.map((layer, at) => ({ at: at + 1, layer, facts: data.layers[layer], uses: uses(layer) }));
  panel.append(el('section', { class: 'card' }, el('h2', null, 'Layers'), table(rows, [
    { name: '#', number: true, value: (row) => row.at },
    { name: 'layer', value: (row) => row.facts[0], cell: (row) => el('span', { class: 'name' }, row.facts[0]) },
    { name: 'files', number: true, value: (row) => row.facts[4] },
    { name: 'unpacked', number: true, value: (row) => row.facts[3], cell: (row) => bytes(row.facts[3]) },
    { name: 'compressed', number: true, value: (row) => row.facts[2], cell: (row) => bytes(row.facts[2]) },
    ...(several ? [{ name: 'images', number: true, value: (row) => row.uses }] : []),
    { name: 'digest', value: (row) => row.facts[1], cell: (row) => el('code', null, row.facts[1]) },
  ], { label: 'Layers', filter: false })));
}

// ---- workspace

function workspace(panel) {
  const rows = data.layers.map((facts, index) => ({ index, facts, images: data.images.map((image) => image.layers.includes(index)) }));
  for (const row of rows) row.uses = row.images.filter(Boolean).length;
  rows.sort((a, b) => b.uses - a.uses || b.facts[2] - a.facts[2] || (a.facts[0] < b.facts[0] ? -1 : 1));
  const once = rows.reduce((sum, row) => sum + row.facts[2], 0);
  const apart = rows.reduce((sum, row) => sum + row.facts[2] * row.uses, 0);
  const largest = Math.max(1, ...rows.map((row) => row.facts[2]));
  const pick = (index) => { state.image = index; state.zoom = 0; select('size'); byId('tab-size').focus(); };
  const overview = data.images.map((image, index) => ({
    index, image, download: image.layers.reduce((sum, layer) => sum + data.layers[layer][2], 0),
    own: image.layers.filter((layer) => rows.find((row) => row.index === layer).uses === 1).reduce((sum, layer) => sum + data.layers[layer][2], 0),
  }));
  panel.append(
    el('section', { class: 'card' }, el('h2', null, 'Stored once'),
      el('p', null, `The layers of ${many(data.images.length, 'image')} are ${bytes(once)} where each layer is stored once, and ${bytes(apart)} where each image is stored apart: `, el('b', null, `${bytes(apart - once)} shared`), '.'),
      el('div', { class: 'meter', role: 'img', 'aria-label': `${percent(once, apart)} of what they are apart` }, el('i', { style: `width:${apart ? (once / apart) * 100 : 0}%` }))),
    el('section', { class: 'card' }, el('h2', null, 'Images'), table(overview, [
      { name: 'image', value: (row) => row.image.name, cell: (row) => el('button', { class: 'link', onclick: () => pick(row.index) }, row.image.name) },
      { name: 'unpacked', number: true, value: (row) => row.image.size, cell: (row) => bytes(row.image.size) },
      { name: 'download', number: true, value: (row) => row.download, cell: (row) => bytes(row.download) },
      { name: 'its own', number: true, value: (row) => row.own, cell: (row) => bytes(row.own) },
      { name: 'files', number: true, value: (row) => row.image.files.length },
      { name: 'packages', number: true, value: (row) => row.image.packages.length },
      { name: 'findings', number: true, value: (row) => row.image.findings.length },
    ], { label: 'Images', sort: 2, descending: true })),
    el('section', { class: 'card' }, el('h2', null, 'Which image has which layer'),
      el('p', { class: 'soft' }, 'A bar is a layer that the image has, as long as the layer is large. Green ones are in several images.'),
      el('div', { class: 'scroll', tabindex: 0, role: 'region', 'aria-label': 'Images and layers' }, el('table', { class: 'matrix' },
        el('thead', null, el('tr', null, el('th', { scope: 'col' }, 'layer'), el('th', { scope: 'col', class: 'number' }, 'compressed'), el('th', { scope: 'col', class: 'number' }, 'images'),
          data.images.map((image) => el('th', { scope: 'col', class: 'vertical', title: image.name }, short(image.name))))),
        el('tbody', null, rows.map((row) => el('tr', null,
          el('th', { scope: 'row', title: row.facts[1] }, row.facts[0]), el('td', { class: 'number' }, bytes(row.facts[2])), el('td', { class: 'number' }, String(row.uses)),
          row.images.map((has, at) => el('td', { class: 'has' }, has ? el('span', {
            class: `fill${row.uses > 1 ? ' shared' : ''}`, role: 'img', 'aria-label': `${data.images[at].name} has it`,
            style: `width:${Math.max(4, Math.sqrt(row.facts[2] / largest) * 44)}px`,
          }) : null)))))))));
}

const short = (name) => name.split('/').pop();

// ----

const wanted = location.hash.slice(1);
state.tab = tabs.some((tab) => tab.id === wanted) ? wanted : tabs[0].id;
show();
document.documentElement.dataset.ready = String(Math.round(performance.now()));
})();

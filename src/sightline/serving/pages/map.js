// A small slippy map on a canvas: tiles of this server, a graticule where there are none, a rectangle, found things.
"use strict";

const TILE = 256, DEEPEST = 20, MOST_LATITUDE = 85.05;
const STEPS_DEG = [45, 30, 10, 5, 2, 1, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001];
const clamp = (value, low, high) => Math.min(Math.max(value, low), high);
const wrapped = (lon) => ((((lon + 180) % 360) + 360) % 360) - 180;

class SlippyMap {
  // `bring(provider, z, x, y)` promises a blob of a tile; `drawn(box)` is told of a rectangle that was drawn.
  constructor(canvas, bring, drawn) {
    Object.assign(this, { canvas, bring, drawn, provider: null, box: null, features: [], drawing: false });
    this.lon = 0; this.lat = 20; this.zoom = 2;
    this.tiles = new Map();  // address -> a picture, or null while it is awaited or cannot be had
    this.loading = 0;
    this.wanted = false;
    canvas.addEventListener("pointerdown", (event) => this.grab(event));
    canvas.addEventListener("wheel", (event) => {
      event.preventDefault();
      this.zoomBy(event.deltaY < 0 ? 1 : -1, event.offsetX, event.offsetY);
    }, { passive: false });
    canvas.addEventListener("keydown", (event) => this.key(event));
    new ResizeObserver(() => this.draw()).observe(canvas);
  }

  get side() { return TILE * 2 ** this.zoom; }
  x(lon) { return ((lon + 180) / 360) * this.side; }
  y(lat) { return (0.5 - Math.asinh(Math.tan((lat * Math.PI) / 180)) / (2 * Math.PI)) * this.side; }
  lonOf(x) { return (x / this.side) * 360 - 180; }
  latOf(y) { return (Math.atan(Math.sinh((0.5 - y / this.side) * 2 * Math.PI)) * 180) / Math.PI; }
  get left() { return this.x(this.lon) - this.canvas.clientWidth / 2; }
  get top() { return this.y(this.lat) - this.canvas.clientHeight / 2; }

  moveTo(lon, lat, zoom = this.zoom) {
    this.lon = wrapped(lon);
    this.lat = clamp(lat, -MOST_LATITUDE, MOST_LATITUDE);
    this.zoom = clamp(Math.round(zoom), 1, DEEPEST);
    this.draw();
  }

  moveBy(dx, dy) { this.moveTo(this.lonOf(this.x(this.lon) + dx), this.latOf(clamp(this.y(this.lat) + dy, 0, this.side))); }

  zoomBy(step, px = this.canvas.clientWidth / 2, py = this.canvas.clientHeight / 2) {
    const lon = this.lonOf(this.left + px), lat = this.latOf(this.top + py);
    const zoom = clamp(this.zoom + step, 1, DEEPEST);
    if (zoom === this.zoom) return;
    this.zoom = zoom;
    const dx = px - this.canvas.clientWidth / 2, dy = py - this.canvas.clientHeight / 2;
    this.moveTo(this.lonOf(this.x(lon) - dx), this.latOf(this.y(lat) - dy));
  }

  fit([west, south, east, north]) {
    if (east < west) east += 360;
    const middle = (west + east) / 2;
    for (this.zoom = DEEPEST; this.zoom > 1; this.zoom -= 1) {
      const wide = this.x(east) - this.x(west), high = this.y(south) - this.y(north);
      if (wide < 0.8 * this.canvas.clientWidth && high < 0.8 * this.canvas.clientHeight) break;
    }
    this.moveTo(middle, this.latOf((this.y(south) + this.y(north)) / 2));
  }

  grab(event) {
    const drawing = this.drawing || event.shiftKey;
    const start = { x: this.left + event.offsetX, y: this.top + event.offsetY };
    let last = { x: event.offsetX, y: event.offsetY };
    const move = ({ offsetX, offsetY }) => {
      if (drawing) this.drawn(this.boxOf(start, { x: this.left + offsetX, y: this.top + offsetY }));
      else this.moveBy(last.x - offsetX, last.y - offsetY);
      last = { x: offsetX, y: offsetY };
    };
    const leave = () => {
      this.canvas.removeEventListener("pointermove", move);
      this.setDrawing(false);
    };
    this.canvas.setPointerCapture(event.pointerId);
    this.canvas.addEventListener("pointermove", move);
    this.canvas.addEventListener("pointerup", leave, { once: true });
    this.canvas.addEventListener("pointercancel", leave, { once: true });
  }

  boxOf(a, b) {
    const rounded = (value) => Number(value.toFixed(6));
    return [
      rounded(wrapped(this.lonOf(Math.min(a.x, b.x)))), rounded(this.latOf(Math.max(a.y, b.y))),
      rounded(wrapped(this.lonOf(Math.max(a.x, b.x)))), rounded(this.latOf(Math.min(a.y, b.y))),
    ];
  }

  setDrawing(on) {
    this.drawing = on;
    this.canvas.classList.toggle("drawing", on);
    this.canvas.dispatchEvent(new CustomEvent("drawing", { detail: on }));
  }

  key(event) {
    const moves = { ArrowLeft: [-80, 0], ArrowRight: [80, 0], ArrowUp: [0, -80], ArrowDown: [0, 80] };
    if (event.key in moves) this.moveBy(...moves[event.key]);
    else if (event.key === "+" || event.key === "=") this.zoomBy(1);
    else if (event.key === "-") this.zoomBy(-1);
    else return;
    event.preventDefault();
  }

  draw() {
    if (this.wanted) return;
    this.wanted = true;
    requestAnimationFrame(() => { this.wanted = false; this.paint(); });
  }

  paint() {
    const { clientWidth: width, clientHeight: height } = this.canvas, sharp = devicePixelRatio || 1;
    Object.assign(this.canvas, { width: width * sharp, height: height * sharp });
    const pen = this.canvas.getContext("2d");
    pen.scale(sharp, sharp);
    pen.fillStyle = "#dfe7ee";
    pen.fillRect(0, 0, width, height);
    const labels = this.paintGraticule(pen, width, height);
    this.paintTiles(pen, width, height);
    this.paintLabels(pen, labels);
    if (this.box) this.paintBox(pen);
    for (const feature of this.features) this.paintFeature(pen, feature);
    this.canvas.dispatchEvent(new CustomEvent("moved"));
  }

  paintGraticule(pen, width, height) {
    const step = STEPS_DEG.findLast((deg) => (deg / 360) * this.side >= 90) ?? STEPS_DEG[0];
    const digits = Math.max(0, -Math.floor(Math.log10(step))), labels = [];
    const line = (x0, y0, x1, y1) => { pen.beginPath(); pen.moveTo(x0, y0); pen.lineTo(x1, y1); pen.stroke(); };
    pen.strokeStyle = "#9ab";
    for (let k = Math.ceil(this.lonOf(this.left) / step); k * step <= this.lonOf(this.left + width); k += 1) {
      const x = this.x(k * step) - this.left;
      line(x, 0, x, height);
      labels.push([wrapped(k * step).toFixed(digits), x + 3, height - 5]);
    }
    const south = Math.max(this.latOf(this.top + height), -MOST_LATITUDE), north = Math.min(this.latOf(this.top), MOST_LATITUDE);
    for (let k = Math.ceil(south / step); k * step <= north; k += 1) {
      const y = this.y(k * step) - this.top;
      line(0, y, width, y);
      labels.push([(k * step).toFixed(digits), 3, y - 3]);
    }
    return labels;
  }

  paintLabels(pen, labels) {
    pen.font = "11px system-ui, sans-serif";
    pen.lineWidth = 3;
    pen.strokeStyle = "#fffc";
    pen.fillStyle = "#234";
    for (const [text, x, y] of labels) { pen.strokeText(text, x, y); pen.fillText(text, x, y); }
  }

  paintTiles(pen, width, height) {
    // Two levels above the coarsest tiles they are drawn smaller, sixteen in the place of one; further out there are none.
    if (!this.provider || this.zoom < this.provider.min_zoom - 2) return;
    const zoom = clamp(this.zoom, this.provider.min_zoom, this.provider.max_zoom), count = 2 ** zoom, side = this.side / count;
    const left = this.left, top = this.top;
    for (let row = Math.max(Math.floor(top / side), 0); row * side < top + height && row < count; row += 1) {
      for (let column = Math.floor(left / side); column * side < left + width; column += 1) {
        const picture = this.tile(zoom, ((column % count) + count) % count, row);
        if (picture) pen.drawImage(picture, column * side - left, row * side - top, side, side);
      }
    }
  }

  tile(z, x, y) {
    const address = `${this.provider.name}/${z}/${x}/${y}`;
    if (!this.tiles.has(address) && this.loading < 6) this.load(address);
    return this.tiles.get(address);
  }

  async load(address) {
    this.tiles.set(address, null);
    if (this.tiles.size > 500) this.tiles.delete(this.tiles.keys().next().value);
    this.loading += 1;
    try {
      this.tiles.set(address, await createImageBitmap(await this.bring(...address.split("/"))));
    } catch { /* the graticule shows through */ }
    this.loading -= 1;
    this.draw();
  }

  near(lon) { return lon + 360 * Math.round((this.lon - lon) / 360); }

  paintBox(pen) {
    const [west, south, east, north] = this.box, wide = east < west ? east + 360 - west : east - west;
    const start = this.near(west + wide / 2) - wide / 2, x = this.x(start) - this.left, y = this.y(north) - this.top;
    pen.lineWidth = 2;
    pen.strokeStyle = "#0b63b5";
    pen.fillStyle = "#0b63b522";
    const sides = [x, y, this.x(start + wide) - this.x(start), this.y(south) - this.y(north)];
    pen.fillRect(...sides);
    pen.strokeRect(...sides);
  }

  paintFeature(pen, { geometry, properties }) {
    pen.lineWidth = 2;
    pen.strokeStyle = "#e4002b";
    pen.beginPath();
    for (const [lon, lat] of geometry.coordinates[0]) pen.lineTo(this.x(this.near(lon)) - this.left, this.y(lat) - this.top);
    pen.stroke();
    pen.beginPath();
    pen.arc(this.x(this.near(properties.lon)) - this.left, this.y(properties.lat) - this.top, 6, 0, 2 * Math.PI);
    pen.stroke();
  }
}

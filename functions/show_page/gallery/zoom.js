// ---- The zoom of the picture in the viewer ------------------------------------------------------------------------

const MAX_ZOOM = 8;
const ZOOM_STEP = 1.5;
const DOUBLE_CLICK_ZOOM = 2.5;
const DOUBLE_CLICK_MS = 350;
const WHEEL_PIXELS = 300; // for twice the size
const PINCH_PIXELS = 60; // the same for a touchpad, which sends a pinch as a wheel with Ctrl
const PAN_PIXELS = 80;
const PAN_START_PIXELS = 5; // a hand moves that far during a click
const ZOOM_KEYS = { "+": ZOOM_STEP, "=": ZOOM_STEP, "-": 1 / ZOOM_STEP, 0: 0 };
const PAN_KEYS = { ArrowLeft: [1, 0], ArrowRight: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };

const stage = $(".picture");
const content = stage.parentElement; // the picture and the facts
const pointers = new Map(); // the last event of each pressed pointer
let zoom = { scale: 1, x: 0, y: 0 }; // x and y: from the centre of the stage to the centre of the picture
let lastClick = NaN; // the time of a click that no other click belongs to yet
let pressed = null; // where a pointer went down
let hasPanned = false;

const between = (low, value, high) => Math.min(high, Math.max(low, value));

/** Change the size of the picture. The point of the picture at these coordinates of the window stays where it is. */
function zoomTo(wanted, clientX, clientY) {
  // Two pixels of the screen for each pixel of the picture are enough.
  const scale = between(1, wanted, between(2, (2 * picture.naturalWidth) / picture.offsetWidth || 1, MAX_ZOOM));
  fillStage(scale > 1);
  const { left, top, width, height } = stage.getBoundingClientRect();
  const [x, y] = [(clientX ?? left + width / 2) - left - width / 2, (clientY ?? top + height / 2) - top - height / 2];
  const ratio = scale / zoom.scale;
  place(scale, x - (x - zoom.x) * ratio, y - (y - zoom.y) * ratio);
}

/** Place the picture. Its edges stay at or beyond those of the stage, or it is in the middle. */
function place(scale, x, y) {
  const [right, down] = [
    picture.offsetWidth * scale - stage.clientWidth,
    picture.offsetHeight * scale - stage.clientHeight,
  ].map((hidden) => Math.max(0, hidden / 2));
  zoom = { scale, x: between(-right, x, right), y: between(-down, y, down) };
  picture.style.transition = pointers.size ? "none" : "";
  picture.style.transform = scale > 1 ? `translate(${zoom.x}px, ${zoom.y}px) scale(${scale})` : "";
}

/** In one column, a zoomed picture gets the place of the facts too. It glides there. */
function fillStage(isZoomed) {
  if (isZoomed === detail.classList.contains("zoomed")) return;
  const centre = () => stage.offsetTop + stage.offsetHeight / 2 - content.scrollTop;
  const before = centre();
  detail.classList.toggle("zoomed", isZoomed);
  content.scrollTop = 0;
  if (matchMedia("(prefers-reduced-motion: reduce)").matches) return;
  picture.animate({ translate: [`0 ${before - centre()}px`, "0 0"] }, { duration: 200, easing: "ease-out" });
}

function zoomBy(factor) {
  zoomTo(zoom.scale * factor);
}

stage.addEventListener("wheel", (event) => {
  const { scrollHeight, clientHeight } = content;
  if (zoom.scale === 1 && !event.ctrlKey && scrollHeight > clientHeight) return; // it scrolls to the facts
  event.preventDefault();
  const doublings = between(-0.5, -event.deltaY / (event.ctrlKey ? PINCH_PIXELS : WHEEL_PIXELS), 0.5);
  zoomTo(zoom.scale * 2 ** doublings, event.clientX, event.clientY);
}, { passive: false });

stage.onpointerdown = (event) => {
  if (event.button) return;
  hasPanned = false;
  pressed = event;
  pointers.set(event.pointerId, event);
  stage.setPointerCapture(event.pointerId);
};
stage.onlostpointercapture = ({ pointerId }) => pointers.delete(pointerId);
stage.onpointermove = (event) => {
  const before = pointers.get(event.pointerId);
  if (!before) return;
  pointers.set(event.pointerId, event);
  const other = [...pointers.values()].find(({ pointerId }) => pointerId !== event.pointerId);
  if (other) {
    const [distance, last] = [event, before].map((at) => Math.hypot(at.clientX - other.clientX, at.clientY - other.clientY));
    zoomTo((zoom.scale * distance) / (last || 1), (event.clientX + other.clientX) / 2, (event.clientY + other.clientY) / 2);
  }
  if (zoom.scale === 1) return;
  hasPanned ||= Math.hypot(event.clientX - pressed.clientX, event.clientY - pressed.clientY) > PAN_START_PIXELS;
  const share = 1 / pointers.size; // the middle of two fingers moves half as far as one of them
  place(zoom.scale, zoom.x + share * (event.clientX - before.clientX), zoom.y + share * (event.clientY - before.clientY));
};
// Two fingers do not scroll.
stage.addEventListener("touchmove", (event) => event.touches.length > 1 && event.preventDefault(), { passive: false });

/** Close the viewer after a click beside the picture. The second click on the picture zooms. */
stage.onclick = ({ timeStamp, clientX, clientY }) => {
  if (zoom.scale === 1 && document.elementFromPoint(clientX, clientY) === stage) return leaveImage();
  if (hasPanned) return;
  const isDouble = timeStamp - lastClick < DOUBLE_CLICK_MS;
  if (isDouble) zoomTo(zoom.scale > 1 ? 1 : DOUBLE_CLICK_ZOOM, clientX, clientY);
  lastClick = isDouble ? NaN : timeStamp;
};

detail.onkeydown = (event) => {
  const { key } = event;
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (key in ZOOM_KEYS) return zoomBy(ZOOM_KEYS[key]);
  if (!(key in PAN_KEYS)) return;
  const [right, down] = PAN_KEYS[key];
  if (zoom.scale > 1) {
    event.preventDefault();
    place(zoom.scale, zoom.x + right * PAN_PIXELS, zoom.y + down * PAN_PIXELS);
  } else if (right) step(-right);
};

let touch = null; // the start of a swipe
stage.addEventListener("touchstart", ({ touches }) => {
  touch = touches.length === 1 && zoom.scale === 1 ? touches[0] : null;
}, { passive: true });
stage.addEventListener("touchend", ({ changedTouches: [end] }) => {
  const [right, down] = touch ? [end.clientX - touch.clientX, end.clientY - touch.clientY] : [0, 0];
  if (Math.abs(right) > SWIPE_PIXELS && Math.abs(right) > Math.abs(down)) step(right > 0 ? -1 : 1);
  touch = null;
});

$("#zoom-in").onclick = () => zoomBy(ZOOM_STEP);
$("#zoom-out").onclick = () => zoomBy(1 / ZOOM_STEP);
addEventListener("resize", () => place(zoom.scale, zoom.x, zoom.y));

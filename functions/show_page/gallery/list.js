// ---- The list, and the part of it that is in the document ---------------------------------------------------------

const MEDIUM = 512;
const LARGE = Number(document.body.dataset.largeThumbnail); // 0: there are no large thumbnails
const DETAILS = "caption,placeholder" + (LARGE ? ",large" : "");
// More cards than this make the page slow. The list itself may be longer.
const MAX_CARDS = 300;
const CARDS_BEFORE = 120;
const CARDS_UNTIL_REDRAW = 60;
const MAX_NEW_PAGES = 10;
const TOP_PIXELS = 300;
const MAX_COMPLETIONS = 8;
const MAX_BATCH = 100;
const BATCH_MS = 50;

const grid = $("#grid");
const images = new Map(); // the data of each known image, by image id
const deleted = new Set(); // the ids of images that are deleted, or that are as soon as it cannot be undone
const imagesOf = (page) => Object.values(page.content ?? {}).map(({ data }) => data);
const newestFirst = (image) => image.processed_at + image.image_id; // as in the list of the API

const list = {
  words: "", // of the search
  ids: [],
  next: null,
  loading: null, // the request that fills the grid; an older one is out of date
  hasFailed: false,
  unseen: [], // new images that are not in the list yet, because the page is scrolled

  get isComplete() {
    return this.next === null;
  },

  get shown() {
    return this.ids.filter((id) => !deleted.has(id));
  },

  search(words) {
    this.words = words;
    this.unseen = [];
    $("#show-new").hidden = true;
    unselect();
    this.next = `?${new URLSearchParams({ ...(words && { q: words }), details: DETAILS })}`;
    this.loading = null;
    this.isNew = true;
    return this.loadMore();
  },

  loadMore() {
    if (this.loading || this.isComplete) return this.loading;
    $("#images").setAttribute("aria-busy", "true");
    $("#load-more").hidden = $("#list-error").hidden = true;
    const loading = (this.loading = this.load(call(`images${this.next}`), () => this.loading === loading));
    return loading;
  },

  async load(request, isCurrent) {
    let failure = null;
    const page = await request.catch((error) => (failure = error));
    if (!isCurrent()) return;
    this.loading = null;
    this.hasFailed = Boolean(failure);
    if (this.isNew) {
      this.ids = [];
      this.isNew = false;
    }
    if (failure) {
      $("#list-error").textContent = `The images cannot be loaded. ${failure.message}`;
      $("#load-more").textContent = "Try again";
    } else {
      this.add(imagesOf(page));
      this.next = page.next ?? null;
      $("#load-more").textContent = "Load more";
      const count = this.shown.length;
      if (this.words) announce(`${counted(count, "image")}${this.isComplete ? "" : " so far"}`);
    }
    $("#loading").hidden = true;
    $("#images").hidden = false;
    $("#images").setAttribute("aria-busy", "false");
    $("#list-error").hidden = !failure;
    $("#load-more").hidden = this.isComplete;
    draw();
    showNeighbours();
    // If the end of the grid is still on the screen, the observer does not report it again.
    if (!failure && isNearScreen($("#more"))) this.loadMore();
  },

  /** Add images, each at its place: the responses to uploads at the same time may come in another order. */
  add(added) {
    const known = new Set(this.ids);
    for (const image of added) {
      images.set(image.image_id, image);
      if (known.has(image.image_id)) continue;
      const isOlder = (id) => newestFirst(images.get(id)) < newestFirst(image);
      const last = this.ids.at(-1);
      const place = last && isOlder(last) ? this.ids.findIndex(isOlder) : this.ids.length;
      this.ids.splice(place, 0, image.image_id);
    }
  },

  /** Look for the images that others have added, from the newest one to the first known one, or deleted. */
  async refresh() {
    const isCurrent = () => !this.words && !this.isNew && !this.hasFailed;
    const known = new Set(this.ids);
    const listed = [];
    let next = `?details=${DETAILS}`;
    let isWhole = false;
    for (let pages = 0; next && isCurrent(); pages += 1) {
      if (pages === MAX_NEW_PAGES) return this.search("");
      const page = await call(`images${next}`).catch(() => ({}));
      const found = imagesOf(page);
      listed.push(...found);
      isWhole = page.current_status && !page.next;
      next = found.some(({ image_id: id }) => known.has(id)) ? null : page.next;
    }
    if (!isCurrent()) return;
    this.unseen = listed.filter(({ image_id: id }) => !this.ids.includes(id) && !deleted.has(id));
    const listedIds = listed.map(({ image_id: id }) => id);
    const isNewer = (id) => isWhole || (listed.length && newestFirst(images.get(id)) > newestFirst(listed.at(-1)));
    const missing = this.shown.filter((id) => known.has(id) && !listedIds.includes(id) && isNewer(id));
    if (missing.length) checkImages(missing.slice(0, MAX_BATCH)).catch(() => null); // the list may be a moment behind
    if (scrollY < TOP_PIXELS) this.showUnseen();
    $("#show-new").hidden = !this.unseen.length;
    $("#show-new").textContent = `Show ${counted(this.unseen.length, "new image")}`;
  },

  showUnseen() {
    if (!this.unseen.length) return;
    this.add(this.unseen);
    announce(counted(this.unseen.length, "new image"));
    this.unseen = [];
    $("#show-new").hidden = true;
    draw();
    showNeighbours();
  },

  remove(ids) {
    const removed = new Set(ids);
    this.ids = this.ids.filter((id) => !removed.has(id));
  },
};

/** Offer the most frequent words of the found images that begin like the last word of the search. */
function showCompletions() {
  const [, before, begun] = /^(.*?)(\S*)$/.exec(list.words.toLowerCase());
  const counts = new Map();
  for (const { caption, original_name: name } of list.shown.map((id) => images.get(id))) {
    for (const word of new Set(`${caption} ${name}`.toLowerCase().split(/[^\p{L}\p{M}\p{N}]+/u))) {
      if (begun && word.startsWith(begun) && word !== begun) counts.set(word, (counts.get(word) ?? 0) + 1);
    }
  }
  const found = [...counts].sort(([, a], [, b]) => b - a).slice(0, MAX_COMPLETIONS);
  const options = found.map(([word]) => Object.assign(document.createElement("option"), { value: before + word }));
  $("#completions").replaceChildren(...options);
}

function isNearScreen(element) {
  return element.getBoundingClientRect().top < innerHeight + 400;
}

/** Ask the API for an image, with the URL for its download. All its URLs are new then. */
async function fetchImage(imageId) {
  const { data } = await call(`images/${imageId}?details=${DETAILS},download`);
  if (data.image_status !== "success") throw new Error(data.error ?? "The image is still processed.");
  images.set(imageId, data.data);
  return data.data;
}

let batch = null; // the images that are asked for together

/** Ask the API for an image, together with others of this moment. Images that others have deleted leave the list. */
async function renewImage(imageId) {
  if (!batch || batch.ids.length === MAX_BATCH) {
    const ids = [];
    batch = { ids, answer: pause(BATCH_MS).then(() => checkImages(ids)) };
  }
  batch.ids.push(imageId);
  const { content } = await batch.answer;
  return content[imageId].data;
}

async function checkImages(ids) {
  if (batch?.ids === ids) batch = null;
  const answer = await callWith(`images/check?details=${DETAILS}`, { image_ids: ids });
  for (const [id, { data }] of Object.entries(answer.content)) images.set(id, data);
  if (answer.missing.length) markDeleted(answer.missing);
  return answer;
}

let drawn = {}; // what draw() has drawn: for which first visible image, of how many, in how many columns

/** Measure the grid. All cards have the same height. */
function measure() {
  const { gridTemplateColumns, rowGap } = getComputedStyle(grid);
  const columns = gridTemplateColumns.split(" ").length;
  const height = (grid.firstElementChild?.getBoundingClientRect().height ?? 0) + parseFloat(rowGap);
  const visible = columns * Math.max(0, Math.floor(-grid.getBoundingClientRect().top / height));
  return { columns, height, visible };
}

/** Put the cards around the visible part of the list into the document. */
function draw() {
  const ids = list.shown;
  if (!grid.firstElementChild && ids.length) grid.append(newCard(images.get(ids[0]))); // to be measured
  const { columns, height, visible } = measure();
  const toRow = (place) => columns * Math.floor(place / columns);
  const start = toRow(Math.max(0, Math.min(visible - CARDS_BEFORE, ids.length - MAX_CARDS)));
  const end = Math.min(ids.length, toRow(start + MAX_CARDS + columns));
  grid.style.paddingTop = `${(start / columns) * height}px`;
  grid.style.paddingBottom = `${Math.ceil((ids.length - end) / columns) * height}px`;
  const cards = new Map([...grid.children].map((card) => [card.dataset.id, card]));
  arrange(grid, ids.slice(start, end).map((id) => cards.get(id) ?? newCard(images.get(id))));
  drawn = { visible, columns, count: ids.length };
  showEmptiness();
  showCompletions();
}

/** Draw again if the screen comes near the end of the cards in the document. */
function redraw() {
  if (drawn.count <= MAX_CARDS) return;
  const { columns, visible } = measure();
  if (Math.abs(visible - drawn.visible) > CARDS_UNTIL_REDRAW || columns !== drawn.columns) draw();
}

function showEmptiness() {
  const shown = list.shown;
  $("#empty").hidden = shown.length > 0 || !list.isComplete;
  $("#empty-title").textContent = list.words ? "No image matches" : "No images yet";
  $("#empty-text").textContent = list.words
    ? "All words must be in the caption or the file name."
    : "Add the first one. It gets thumbnails, its metadata and a caption.";
  const isDemo = shown.some((id) => images.get(id).caption_details?.model === "demo");
  $("#demo").hidden = !isDemo || Boolean(localStorage.getItem(DEMO_HIDDEN));
}

function newCard(image) {
  const card = copyOf("#card");
  card.dataset.id = image.image_id;
  $(".caption", card).textContent = image.caption;
  $(".name", card).textContent = $(".name", card).title = image.original_name;
  $(".size", card).textContent = bytes(image.metadata.size_bytes);
  const time = $("time", card);
  time.dateTime = image.processed_at;
  time.title = moments.format(new Date(image.processed_at));
  showAgo(time);
  showThumbnail($("img", card), image);
  const box = $(".select", card);
  box.setAttribute("aria-label", `Select ${image.original_name}`);
  box.checked = selected.has(image.image_id);
  box.onclick = ({ shiftKey }) => select(image.image_id, box.checked, shiftKey);
  $(".open", card).onclick = ({ shiftKey }) => {
    if (selected.size) select(image.image_id, shiftKey || !box.checked, shiftKey);
    else openImage(image.image_id);
  };
  return card;
}

/** Scroll to the card of an image, and return it. */
function reveal(imageId) {
  const place = list.shown.indexOf(imageId);
  if (place >= 0 && !cardOf(imageId)) {
    const { columns, height } = measure();
    scrollBy(0, grid.getBoundingClientRect().top + Math.floor(place / columns) * height - innerHeight / 2);
    draw();
  }
  const card = cardOf(imageId);
  card?.scrollIntoView({ block: "nearest" });
  return card;
}

function cardOf(imageId) {
  return $(`[data-id="${imageId}"]`, grid);
}

/** Show the medium thumbnail, and its dominant colour until it is there. Its URL expires; then the API is asked for a new one. */
function showThumbnail(element, image) {
  element.dataset.image = image.image_id;
  element.classList.remove("broken");
  delete element.dataset.large;
  element.onerror = () => renewThumbnail(element, image.image_id);
  const { width, height } = image.metadata;
  const side = image.thumbnails.large && element === picture ? LARGE : MEDIUM;
  const scale = Math.min(1, side / Math.max(width, height));
  element.width = Math.max(1, Math.round(width * scale));
  element.height = Math.max(1, Math.round(height * scale));
  element.alt = image.caption;
  element.style.backgroundColor = image.placeholder?.color ?? "";
  element.onload = () => (element.style.backgroundColor = ""); // of a transparent image, the page shows through
  element.src = image.thumbnails.medium;
}

async function renewThumbnail(element, imageId) {
  const giveUp = () => {
    element.style.backgroundColor = ""; // the alternative text is readable on the page's own colours
    element.classList.add("broken");
  };
  element.onerror = giveUp;
  try {
    const image = await renewImage(imageId);
    if (element.dataset.image === imageId) element.src = image.thumbnails.medium;
  } catch {
    giveUp(); // the image is gone, or the API is; both are shown elsewhere
  }
}

/** Try again to load the thumbnails that could not be loaded, for example when the connection is back. */
function reloadThumbnails() {
  for (const element of document.querySelectorAll("img.broken")) showThumbnail(element, images.get(element.dataset.image));
}

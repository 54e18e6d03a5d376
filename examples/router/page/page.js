// SPDX-License-Identifier: MIT
// Live events above the history, in one list without gaps, newest first.
// Whatever was published becomes text, never markup: textContent is all that is ever set.

const PAGE = 50; // events of one request
const ROOM = 1000; // rows, beyond those that were asked for by "Older"
const SHORTEST_PAUSE = 250; // milliseconds until the next try to connect; doubled after each
const LONGEST_PAUSE = 8000;

const element = (id) => document.getElementById(id);

class LoggedOut extends Error {}

/** Return the JSON answer of the router; throws LoggedOut, Error if it refuses, TypeError if it is not there. */
async function ask(path, options = {}) {
  const response = await fetch(path, { cache: "no-store", ...options });
  if (response.status === 401) throw new LoggedOut();
  const answer = await response.json();
  if (!response.ok) throw new Error(answer.error);
  return answer;
}

const post = (path, body) =>
  ask(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });

/** Resolve when an event of one of these names comes. */
const next = (target, ...names) =>
  new Promise((resolve) => names.forEach((name) => target.addEventListener(name, resolve, { once: true })));

/** The rows of the table: each event once. */
class Rows {
  #body = element("events");
  #shown = new Map(); // publication: row
  room = ROOM;

  get size() { return this.#shown.size; }
  get last() { return Number(this.#body.lastElementChild.dataset.publication); }

  has(event) { return this.#shown.has(event.publication); }

  /** Put events, the oldest first, above all others, unless they are there; return whether others had to go. */
  above(events) {
    for (const event of events) if (!this.has(event)) this.#body.prepend(this.#row(event));
    const full = this.size > this.room;
    while (this.size > this.room) {
      this.#shown.delete(this.last);
      this.#body.lastElementChild.remove();
    }
    this.#tell();
    return full;
  }

  /** Put events, the newest first, below all others. */
  below(events) {
    this.#body.append(...events.map((event) => this.#row(event)));
    this.#tell();
  }

  clear() {
    this.#body.replaceChildren();
    this.#shown.clear();
    this.room = ROOM;
    this.#tell();
  }

  #tell() { element("none").hidden = this.size > 0; }

  #row(event) {
    const row = document.createElement("tr");
    row.dataset.publication = event.publication;
    const time = new Date(event.time_ns / 1e6).toISOString().replace("T", " ").replace("Z", "");
    const author = event.publisher_authid ?? event.authid ?? "";
    for (const text of [time, event.topic, author]) row.insertCell().textContent = text;
    const content = document.createElement("div"); // a cell has no largest height
    content.textContent = content_of(event);
    row.insertCell().append(content);
    this.#shown.set(event.publication, row);
    return row;
  }
}

function content_of({ args, kwargs }) {
  const parts = (args ?? []).map((value) => JSON.stringify(value));
  for (const [name, value] of Object.entries(kwargs ?? {})) parts.push(`${name}=${JSON.stringify(value)}`);
  return parts.join(" ");
}

/** The events of one pattern, from its construction until `stop`. */
class Feed {
  #query;
  #rows = new Rows();
  #token = ""; // of the page behind the last row: "" for the first page, null if there is none
  #cut = false; // the last rows went: #token is of the first page, and the place is behind the last row
  #stopped = new AbortController();
  #turn = Promise.resolve(); // what reads the history does so one after the other

  constructor(topic, match) {
    // without a topic it is everything, which is the empty prefix
    this.#query = new URLSearchParams({ topic, match: topic ? match : "prefix" });
    this.#rows.clear();
  }

  stop() { this.#stopped.abort(); }

  /** Connect, and connect again, until it is stopped. Throws LoggedOut. */
  async run() {
    let pause = SHORTEST_PAUSE;
    while (!this.#stopped.signal.aborted) {
      try {
        await this.#follow();
        pause = SHORTEST_PAUSE;
      } catch (error) {
        if (this.#stopped.signal.aborted) return;
        if (error instanceof LoggedOut) throw error;
      }
      if (this.#stopped.signal.aborted) return;
      tell("offline", "Not connected, trying again");
      const woken = new AbortController();
      const timer = setTimeout(() => woken.abort(), pause);
      await Promise.race([next(woken.signal, "abort"), next(this.#stopped.signal, "abort")]);
      clearTimeout(timer);
      pause = Math.min(2 * pause, LONGEST_PAUSE);
    }
  }

  /** Show what was missed and then what comes, until the connection ends. */
  async #follow() {
    await this.#ask("whoami"); // a stream that is refused does not tell why
    const source = new EventSource(`subscribe?${this.#query}`);
    const ended = Promise.race([next(source, "error"), next(this.#stopped.signal, "abort")]);
    let early = []; // what came before the history was read: it may be in there, too
    source.onmessage = (message) => {
      const event = JSON.parse(message.data);
      if (early) early.push(event);
      else this.#arrived([event]);
    };
    try {
      await Promise.race([next(source, "open"), ended]);
      if (source.readyState !== EventSource.OPEN || this.#stopped.signal.aborted) throw new Error("no stream");
      await this.#in_turn(() => this.#catch_up());
      this.#arrived(early);
      early = null;
      if (source.readyState === EventSource.OPEN) tell("live", "Live");
      await ended;
    } finally {
      source.close();
    }
  }

  #arrived(events) {
    if (this.#stopped.signal.aborted || !this.#rows.above(events)) return;
    [this.#token, this.#cut] = ["", true];
    this.#tell();
  }

  /** Show what is newer than the newest row; begin anew if that is more than there is room for. */
  async #catch_up() {
    const missed = [];
    const enough = this.#rows.size ? ROOM : 1;
    let token = "";
    while (token !== null && missed.length < enough) {
      const page = await this.#page(token);
      // events are delivered in the order of the history: behind one that is known there is none that is not
      const known = page.events.findIndex((event) => this.#rows.has(event));
      missed.push(...page.events.slice(0, known < 0 ? undefined : known));
      if (known >= 0) return this.#arrived(missed.reverse());
      token = page.token;
    }
    this.#rows.clear();
    this.#rows.below(missed);
    [this.#token, this.#cut] = [token, false];
    this.#tell();
  }

  /** Show the next page of older events. */
  older() { return this.#in_turn(() => this.#older()); }

  async #older() {
    const found = [];
    const { room } = this.#rows;
    let last = this.#cut ? this.#rows.last : null;
    this.#rows.room = Infinity; // no row goes while its place is sought
    try {
      while (this.#token !== null && !found.length) {
        const page = await this.#page(this.#token);
        const place = last === null ? 0 : page.events.findIndex((event) => event.publication === last) + 1;
        if (last === null || place) {
          found.push(...page.events.slice(place));
          [last, this.#cut] = [null, false];
        }
        this.#token = page.token;
      }
      this.#rows.below(found);
    } finally {
      if (this.#cut) this.#token = "";
      this.#rows.room = room + found.length;
      this.#tell();
    }
  }

  #page(after) {
    return this.#ask(`history?${this.#query}&${new URLSearchParams({ order: "newest", limit: PAGE, after })}`);
  }

  #ask(path) { return ask(path, { signal: this.#stopped.signal }); }

  #in_turn(work) {
    const done = this.#turn.then(work);
    this.#turn = done.catch(() => {}); // whoever asked for it is told
    return done;
  }

  #tell() { element("older").disabled = this.#token === null; }
}

// --- the page

let feed = null;

function tell(state, text) {
  element("status").dataset.state = state;
  element("status").textContent = text;
}

function tell_problem(text) {
  element("problem").textContent = text;
  element("problem").hidden = !text;
}

function show(authid) {
  element("authid").textContent = authid ?? "";
  for (const id of ["user", "feed"]) element(id).hidden = authid === null;
  element("login").hidden = authid !== null;
}

function ask_to_log_in() {
  feed?.stop();
  feed = null;
  new Rows().clear(); // the next user may be another
  show(null);
  tell("out", "Not logged in");
  element("name").focus();
}

function begin() {
  feed?.stop();
  tell("connecting", "Connecting");
  feed = new Feed(element("topic").value.trim(), element("match").value);
  feed.run().catch(failed);
}

function failed(error) {
  if (error instanceof LoggedOut) ask_to_log_in();
  else if (error.name !== "AbortError") tell_problem(error instanceof TypeError ? "The router is not there." : error.message);
}

/** Have an event of the page do something; what goes wrong is told. */
function on(id, name, act) {
  element(id).addEventListener(name, async (event) => {
    event.preventDefault();
    tell_problem("");
    try {
      await act();
    } catch (error) {
      failed(error);
    }
  });
}

on("login", "submit", async () => {
  const { authid } = await post("login", { authid: element("name").value });
  show(authid);
  begin();
  element("topic").focus();
});
on("logout", "click", async () => {
  await post("logout", {});
  ask_to_log_in();
});
on("filter", "submit", begin);
on("older", "click", () => feed.older());

async function main() {
  try {
    show((await ask("whoami")).authid);
    begin();
  } catch (error) {
    failed(error);
    if (error instanceof TypeError) ask_to_log_in();
  }
}

main();

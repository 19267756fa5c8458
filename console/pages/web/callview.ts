import type { Call } from "./call";
import { button, clock, h } from "./dom";
import { keypad } from "./keypad";
import { Meter } from "./meter";
import type { Phone } from "./phone";
import { Problem } from "./problem";
import type { Quality } from "./quality";
import type { Tones } from "./tones";

/** measureEvery is the time between two looks at the quality, in milliseconds. */
const measureEvery = 2000;

/** CallView shows one call and its buttons. */
export class CallView {
  readonly element: HTMLElement;
  private readonly title = h("h2", {});
  private readonly line = h("p", { class: "line" });
  private readonly levels = [h("i", { class: "bar" }), h("i", { class: "bar" })];
  private readonly quality = h("details", { class: "quality", hidden: true }, h("summary", {}), h("dl", {}));
  private readonly controls: Record<string, HTMLButtonElement>;
  private readonly film = h("video", { class: "film", autoplay: true, playsinline: true, "aria-label": "Their picture", hidden: true });
  private readonly own = h("video", { class: "own", autoplay: true, playsinline: true, "aria-label": "Your picture", hidden: true });
  private readonly pictures = h("div", { class: "pictures", hidden: true }, this.film, this.own);
  private readonly panel = h("div", { class: "panel", hidden: true });
  private readonly stage: HTMLElement;
  private readonly ring: HTMLElement;
  private open = "";
  private meters: (Meter | undefined)[] = [];
  private streams: (MediaStream | undefined)[] = [];
  private timers: number[] = [];
  private frame = 0;

  constructor(
    readonly call: Call,
    private readonly phone: Phone,
    private readonly tones: Tones,
    private readonly context: () => AudioContext,
    private readonly addCall: () => void,
    private readonly complain: (problem: Problem) => void,
  ) {
    this.controls = {
      mute: button("mute", "Mute", () => call.mute(!call.muted), "control"),
      keypad: button("keypad", "Keypad", () => this.toggle("keypad"), "control"),
      hold: button("hold", "Hold", () => this.hold(), "control"),
      camera: button("camera", "Camera", () => this.camera(), "control"),
      transfer: button("transfer", "Transfer", () => this.toggle("transfer"), "control"),
      add: button("add", "Add call", () => this.addCall(), "control"),
      hangup: button("hangup", "Hang up", () => call.hangUp(), "round end"),
    };
    this.controls.mute.setAttribute("aria-keyshortcuts", "m");
    this.controls.hold.setAttribute("aria-keyshortcuts", "h");
    this.controls.keypad.setAttribute("aria-expanded", "false");
    this.controls.transfer.setAttribute("aria-expanded", "false");
    this.ring = this.incomingButtons();
    const { mute, keypad: pad, hold, camera, transfer, add, hangup } = this.controls;
    this.stage = h(
      "div",
      { class: "stage" },
      this.pictures,
      this.meterRow(),
      this.quality,
      this.panel,
      h("div", { class: "controls", role: "group", "aria-label": "Call" }, mute, pad, hold, camera, transfer, add),
      h("div", { class: "bottom" }, hangup),
    );
    this.element = h("section", { class: "call", "aria-label": "Call" }, h("div", { class: "avatar", "aria-hidden": "true" }, initials(call)), this.title, this.line, this.stage, this.ring);
    this.timers.push(window.setInterval(() => this.showLine(), 500), window.setInterval(() => void this.measure(), measureEvery));
    this.frame = requestAnimationFrame(() => this.showLevels());
    this.update();
  }

  /** update shows what the call is now. */
  update(): void {
    const { call } = this;
    this.title.textContent = call.name || call.number;
    this.element.dataset.state = call.state;
    this.element.classList.toggle("held", call.held);
    this.stage.hidden = call.state === "incoming";
    this.ring.hidden = call.state !== "incoming";
    const up = call.state === "up";
    for (const name of ["keypad", "hold", "camera", "transfer", "add"]) this.controls[name].disabled = !up;
    press(this.controls.mute, call.muted, call.muted ? "Unmute" : "Mute");
    press(this.controls.camera, call.picture !== undefined, "Camera");
    this.showPictures();
    press(this.controls.hold, call.held, call.held ? "Resume" : "Hold");
    this.controls.hangup.querySelector("span")!.textContent = up ? "Hang up" : "Cancel";
    this.showLine();
  }

  /** focus goes to what a person will want next. */
  focus(): void {
    (this.call.state === "incoming" ? this.ring.querySelector<HTMLButtonElement>(".answer") : this.controls.hangup)?.focus();
  }

  /** key is a key of the keyboard, pressed outside of any field; true when it was for this call. */
  key(key: string): boolean {
    if (this.call.state !== "up") return false;
    if (/^[0-9*#]$/.test(key)) this.digit(key);
    else if (key === "m") this.call.mute(!this.call.muted);
    else if (key === "h") this.hold();
    else return false;
    return true;
  }

  close(): void {
    for (const t of this.timers) window.clearInterval(t);
    cancelAnimationFrame(this.frame);
    for (const m of this.meters) m?.close();
    this.element.remove();
  }

  private camera(): void {
    this.controls.camera.disabled = true;
    void this.call
      .camera(this.call.picture === undefined)
      .catch((error) => this.complain(error as Problem))
      .then(() => this.update());
  }

  /** showPictures shows who is seen, where somebody is. */
  private showPictures(): void {
    for (const [video, stream] of [[this.film, this.call.film], [this.own, this.call.picture]] as const) {
      video.muted = true; // the sound is the call's
      if (video.srcObject !== (stream ?? null)) video.srcObject = stream ?? null;
      video.hidden = !stream;
    }
    this.pictures.hidden = !this.call.film && !this.call.picture;
  }

  private hold(): void {
    if (this.call.held) this.phone.holdOthers(this.call);
    this.call.hold(!this.call.held);
  }

  private digit(key: string): void {
    this.tones.key(key);
    this.call.press(key);
    const shown = this.panel.querySelector("output");
    if (shown) shown.textContent = (shown.textContent + key).slice(-24);
  }

  private toggle(what: string): void {
    this.open = this.open === what ? "" : what;
    for (const name of ["keypad", "transfer"]) this.controls[name].setAttribute("aria-expanded", String(this.open === name));
    this.panel.replaceChildren();
    if (this.open === "keypad") this.panel.append(h("output", { class: "digits", "aria-label": "Digits sent" }), keypad((k) => this.digit(k)));
    if (this.open === "transfer") this.panel.append(this.transferForm());
    this.panel.hidden = this.open === "";
    this.panel.querySelector<HTMLElement>("input, button")?.focus();
  }

  private transferForm(): HTMLElement {
    const input = h("input", { id: "transfer-to", inputmode: "tel", autocomplete: "off", required: true, placeholder: "Number" });
    const others = this.phone.calls.filter((c) => c !== this.call && !c.returning && (c.state === "up" || c.state === "ringing"));
    const form = h(
      "form",
      {
        class: "transfer",
        onsubmit: (e: Event) => {
          e.preventDefault();
          if (input.value.trim()) this.call.transferTo(input.value.trim());
          this.toggle("transfer");
        },
      },
      h("label", { for: "transfer-to" }, "Transfer to"),
      input,
      h("div", { class: "row" }, h("button", { type: "submit", class: "primary", id: "transfer-now" }, "Transfer now"), h("button", { type: "button", id: "transfer-ask", onclick: () => this.consult(input) }, "Ask first")),
      ...others.map((other) =>
        h("button", { type: "button", class: "join", onclick: () => (this.call.joinWith(other), this.toggle("transfer")) }, `Connect ${this.call.name || this.call.number} with ${other.name || other.number}`),
      ),
    );
    return form;
  }

  /** consult calls somebody first; the transfer of that call then offers to connect the two. */
  private consult(input: HTMLInputElement): void {
    if (!input.value.trim()) return input.focus();
    this.toggle("transfer");
    this.phone.call(input.value.trim());
  }

  private incomingButtons(): HTMLElement {
    return h(
      "div",
      { class: "ring" },
      button("hangup", "Decline", () => this.call.decline(), "round end"),
      button("call", "Answer", () => void this.phone.answer(this.call), "round answer"),
    );
  }

  private meterRow(): HTMLElement {
    const row = (word: string, bar: HTMLElement) => h("div", { class: "level" }, h("span", {}, word), h("div", { class: "track" }, bar));
    return h("div", { class: "levels", "aria-hidden": "true" }, row("You", this.levels[0]), row("Them", this.levels[1]));
  }

  private showLevels(): void {
    for (const [i, stream] of [this.call.local, this.call.remote].entries()) {
      const track = stream?.getAudioTracks()[0];
      if (this.call.state !== "up" || !track) continue;
      if (this.streams[i]?.getAudioTracks()[0] !== track) {
        this.meters[i]?.close();
        this.streams[i] = new MediaStream([track]);
        this.meters[i] = new Meter(this.context(), this.streams[i]!);
      }
      this.levels[i].style.transform = `scaleX(${this.meters[i]!.level().toFixed(3)})`;
    }
    this.frame = requestAnimationFrame(() => this.showLevels());
  }

  private showLine(): void {
    const text = stateLine(this.call);
    if (this.line.textContent !== text) this.line.textContent = text;
  }

  private async measure(): Promise<void> {
    if (this.call.state !== "up" || this.call.held) return;
    const q = await this.call.quality();
    if (!q) return;
    const word = q.mos >= 4 ? "Good" : q.mos >= 3.5 ? "Fair" : "Poor";
    this.quality.hidden = false;
    this.quality.dataset.grade = word.toLowerCase();
    this.quality.querySelector("summary")!.textContent = `${word} quality`;
    this.quality.querySelector("dl")!.replaceChildren(...figures(q).flatMap(([term, value]) => [h("dt", {}, term), h("dd", {}, value)]));
  }
}

function figures(q: Quality): [string, string][] {
  return [
    ["MOS", q.mos.toFixed(1)],
    ["Loss", `${(100 * q.loss).toFixed(1)} %`],
    ["Their loss", `${(100 * q.remoteLoss).toFixed(1)} %`],
    ["Jitter", `${q.jitter.toFixed(0)} ms`],
    ["Round trip", q.rtt === undefined ? "–" : `${q.rtt.toFixed(0)} ms`],
    ["Codec", q.codec || "–"],
  ];
}

function press(control: HTMLButtonElement, on: boolean, word: string): void {
  control.setAttribute("aria-pressed", String(on));
  control.querySelector("span")!.textContent = word;
}

/** stateLine is the line under the name. */
export function stateLine(call: Call): string {
  if (call.problem && call.state !== "ended") return call.problem.message;
  if (call.transfer instanceof Problem) return `Not transferred: ${call.transfer.what} You are still connected.`;
  if (call.transfer === "asked" || call.transfer === "ringing") return "Transferring…";
  switch (call.state) {
    case "calling":
      return call.returning ? "Coming back to the call…" : "Calling…";
    case "ringing":
      return "Ringing…";
    case "incoming":
      return call.name ? `${call.number} is calling` : "is calling";
    case "ended":
      return "Ended";
  }
  const time = clock((Date.now() - (call.since?.getTime() ?? Date.now())) / 1000);
  if (call.lost) return `${time} · Sound was lost, looking for another way…`;
  if (call.held) return `${time} · On hold`;
  if (call.heldByPeer) return `${time} · The other side holds`;
  return time;
}

function initials(call: Call): string {
  const words = (call.name || call.number).split(/\s+/).filter(Boolean);
  if (/^[+\d*#]+$/.test(words[0] ?? "")) return "#";
  return (words.length > 1 ? words[0][0] + words[words.length - 1][0] : (words[0] ?? "?").slice(0, 2)).toUpperCase();
}

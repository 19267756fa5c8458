import { devices, openMicrophone, speakersCanBeChosen, stop, type Choice } from "./devices";
import { button, h } from "./dom";
import { Meter } from "./meter";

/** loadChoice is what was chosen on this browser before. */
export function loadChoice(): Choice {
  try {
    return { microphone: "", speaker: "", ...JSON.parse(localStorage.getItem("tandem.devices") ?? "{}") };
  } catch {
    return { microphone: "", speaker: "" };
  }
}

/** settings opens a dialog in which devices are chosen and tried. */
export function settings(choice: Choice, context: () => AudioContext, changed: (kind: keyof Choice) => void, signOut: () => void): void {
  const bar = h("i", { class: "bar" });
  const note = h("p", { class: "note", role: "status" });
  let stream: MediaStream | undefined;
  let meter: Meter | undefined;
  let frame = 0;
  const listen = async () => {
    stop(stream);
    meter?.close();
    try {
      stream = await openMicrophone(choice.microphone);
      meter = new Meter(context(), stream);
      note.textContent = "";
    } catch (error) {
      note.textContent = (error as Error).message;
    }
    await fill();
  };
  const draw = () => {
    bar.style.transform = `scaleX(${(meter?.level() ?? 0).toFixed(3)})`;
    frame = requestAnimationFrame(draw);
  };
  const choose = (kind: keyof Choice) => (e: Event) => {
    choice[kind] = (e.target as HTMLSelectElement).value;
    localStorage.setItem("tandem.devices", JSON.stringify(choice));
    changed(kind);
    if (kind === "microphone") void listen();
  };
  const microphones = h("select", { id: "microphone", onchange: choose("microphone") });
  const speakers = h("select", { id: "speaker", onchange: choose("speaker") });
  const fill = async () => {
    options(microphones, await devices("audioinput"), choice.microphone, "Microphone");
    options(speakers, await devices("audiooutput"), choice.speaker, "Speaker");
  };
  const dialog = h(
    "dialog",
    { class: "settings", "aria-labelledby": "settings-title", onclose: () => close() },
    h("header", {}, h("h2", { id: "settings-title" }, "Settings"), button("close", "Close", () => dialog.close(), "bare")),
    h("label", { for: "microphone" }, "Microphone"),
    microphones,
    h("div", { class: "track", "aria-hidden": "true" }, bar),
    speakersCanBeChosen() && h("label", { for: "speaker" }, "Speaker"),
    speakersCanBeChosen() && speakers,
    h("button", { type: "button", class: "wide", onclick: () => void testSound(context(), choice.speaker) }, "Play a test sound"),
    note,
    h("button", { type: "button", class: "wide quiet", id: "sign-out", onclick: () => (dialog.close(), signOut()) }, "Sign out"),
  );
  const close = () => {
    cancelAnimationFrame(frame);
    meter?.close();
    stop(stream);
    dialog.remove();
  };
  options(microphones, [], "", ""); // until the browser has told what there is
  options(speakers, [], "", "");
  document.body.append(dialog);
  dialog.showModal();
  draw();
  void listen();
}

function options(select: HTMLSelectElement, all: MediaDeviceInfo[], chosen: string, word: string): void {
  const list = all.filter((d) => d.deviceId !== "default" && d.deviceId !== "communications");
  select.replaceChildren(
    h("option", { value: "" }, "Chosen by the browser"),
    ...list.map((d, i) => h("option", { value: d.deviceId, selected: d.deviceId === chosen }, d.label || `${word} ${i + 1}`)),
  );
}

/** testSound plays a note on the speaker that was chosen. */
async function testSound(context: AudioContext, speaker: string): Promise<void> {
  const tone = context.createOscillator();
  const gain = context.createGain();
  const out = context.createMediaStreamDestination();
  gain.gain.value = 0.15;
  tone.frequency.value = 523;
  tone.connect(gain).connect(out);
  const player = new Audio();
  player.srcObject = out.stream;
  if (speaker) await (player as any).setSinkId?.(speaker).catch(() => undefined);
  tone.start();
  await player.play().catch(() => undefined);
  window.setTimeout(() => (tone.stop(), player.pause()), 700);
}

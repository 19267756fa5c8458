/** Tones that the page makes itself: it rings, and lets the caller hear that it rings over there. */
export class Tones {
  private playing?: { stop: () => void };

  constructor(private readonly context: () => AudioContext) {}

  /** ring plays for an incoming call: a soft pair of notes every three seconds. */
  ring(): void {
    this.repeat(3000, [[660, 0, 0.18], [880, 0.2, 0.32]], 0.12);
  }

  /** ringback plays while the other side rings: 440 and 480 Hz, two seconds of six. */
  ringback(): void {
    this.repeat(6000, [[440, 0, 2], [480, 0, 2]], 0.05);
  }

  /** key plays the tone of a key, so that pressing it is heard. */
  key(key: string): void {
    const rows = [697, 770, 852, 941];
    const columns = [1209, 1336, 1477];
    const at = "123456789*0#".indexOf(key);
    if (at < 0) return;
    for (const hz of [rows[Math.floor(at / 3)], columns[at % 3]]) this.note(hz, 0, 0.12, 0.04);
  }

  stop(): void {
    this.playing?.stop();
    this.playing = undefined;
  }

  private repeat(every: number, notes: [number, number, number][], volume: number): void {
    this.stop();
    let sounding: OscillatorNode[] = [];
    const play = () => {
      sounding = notes.map(([hz, at, length]) => this.note(hz, at, length, volume));
    };
    play();
    const timer = window.setInterval(play, every);
    this.playing = {
      stop: () => {
        window.clearInterval(timer);
        for (const o of sounding) o.stop();
      },
    };
  }

  private note(hz: number, at: number, length: number, volume: number): OscillatorNode {
    const context = this.context();
    const begin = context.currentTime + at;
    const tone = context.createOscillator();
    const gain = context.createGain();
    tone.frequency.value = hz;
    gain.gain.setValueAtTime(0, begin);
    gain.gain.linearRampToValueAtTime(volume, begin + 0.01);
    gain.gain.setValueAtTime(volume, begin + length - 0.02);
    gain.gain.linearRampToValueAtTime(0, begin + length);
    tone.connect(gain).connect(context.destination);
    tone.start(begin);
    tone.stop(begin + length);
    return tone;
  }
}

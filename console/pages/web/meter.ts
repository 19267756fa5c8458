/** Meter measures how loud a stream is. It plays nothing. */
export class Meter {
  private readonly source: MediaStreamAudioSourceNode;
  private readonly analyser: AnalyserNode;
  private readonly samples: Float32Array<ArrayBuffer>;

  constructor(context: AudioContext, stream: MediaStream) {
    this.source = context.createMediaStreamSource(stream);
    this.analyser = context.createAnalyser();
    this.analyser.fftSize = 1024;
    this.samples = new Float32Array(this.analyser.fftSize);
    this.source.connect(this.analyser);
  }

  /** level is 0 (below -60 dBFS) to 1 (0 dBFS). */
  level(): number {
    this.analyser.getFloatTimeDomainData(this.samples);
    let sum = 0;
    for (const x of this.samples) sum += x * x;
    const db = 10 * Math.log10(sum / this.samples.length + 1e-12);
    return Math.max(0, Math.min(1, (db + 60) / 60));
  }

  close(): void {
    this.source.disconnect();
  }
}

/** Quality of what is heard and of what the other side hears, over the time since the report before. */
export interface Quality {
  /** codec that is received, such as "PCMU" or "opus". */
  codec: string;
  /** loss is the share of packets that did not come, 0 to 1. */
  loss: number;
  /** remoteLoss is the same for what we send, as the other side reports it. */
  remoteLoss: number;
  /** jitter in milliseconds (RFC 3550). */
  jitter: number;
  /** rtt is the round trip in milliseconds; undefined before it was measured. */
  rtt?: number;
  /** mos of what is heard, 1 to 4.5 (ITU-T G.107 with the figures of G.711; Opus is no worse). */
  mos: number;
  packetsReceived: number;
  packetsSent: number;
}

interface Counters {
  received: number;
  lost: number;
}

/** QualityMeter turns the counters of a PeerConnection into Quality. */
export class QualityMeter {
  private last: Counters = { received: 0, lost: 0 };

  constructor(private readonly connection: RTCPeerConnection) {}

  async measure(): Promise<Quality | undefined> {
    const report = await this.connection.getStats();
    const all = [...(report as unknown as Map<string, any>).values()];
    const inbound = all.find((s) => s.type === "inbound-rtp" && s.kind === "audio");
    if (!inbound) return undefined;
    const outbound = all.find((s) => s.type === "outbound-rtp" && s.kind === "audio");
    const remote = all.find((s) => s.type === "remote-inbound-rtp" && s.kind === "audio");
    const pair = all.find((s) => s.type === "candidate-pair" && s.nominated && s.state === "succeeded");
    const codec = all.find((s) => s.id === inbound.codecId);
    const now = { received: inbound.packetsReceived ?? 0, lost: Math.max(0, inbound.packetsLost ?? 0) };
    const received = now.received - this.last.received;
    const lost = Math.max(0, now.lost - this.last.lost);
    this.last = now;
    const loss = received + lost > 0 ? lost / (received + lost) : 0;
    const jitter = 1000 * (inbound.jitter ?? 0);
    const seconds = remote?.roundTripTime ?? pair?.currentRoundTripTime;
    const rtt = seconds === undefined ? undefined : 1000 * seconds;
    const buffered = inbound.jitterBufferEmittedCount ? (1000 * inbound.jitterBufferDelay) / inbound.jitterBufferEmittedCount : 2 * jitter;
    return {
      codec: String(codec?.mimeType ?? "").replace("audio/", ""),
      loss,
      remoteLoss: remote?.fractionLost ?? 0,
      jitter,
      rtt,
      mos: mos(loss, (rtt ?? 0) / 2 + buffered),
      packetsReceived: now.received,
      packetsSent: outbound?.packetsSent ?? 0,
    };
  }
}

/** mos is the E-model of ITU-T G.107 for loss (0 to 1) and a delay one way in milliseconds, with G.711's Ie 0 and Bpl 25.1. */
export function mos(loss: number, delay: number): number {
  const Id = 0.024 * delay + (delay > 177.3 ? 0.11 * (delay - 177.3) : 0);
  const percent = 100 * loss;
  const Ie = (95 * percent) / (percent + 25.1);
  const R = Math.max(0, Math.min(93.2, 93.2 - Id - Ie));
  return Math.max(1, Math.min(4.5, 1 + 0.035 * R + R * (R - 60) * (100 - R) * 7e-6));
}

/** Emitter tells listeners of events; M maps each event's name to what it carries. */
export class Emitter<M> {
  private listeners = new Map<keyof M, Set<(value: any) => void>>();

  /** on adds a listener and gives back what takes it away. */
  on<K extends keyof M>(event: K, listener: (value: M[K]) => void): () => void {
    const all = this.listeners.get(event) ?? new Set();
    this.listeners.set(event, all.add(listener));
    return () => void all.delete(listener);
  }

  protected emit<K extends keyof M>(event: K, value: M[K]): void {
    for (const listener of [...(this.listeners.get(event) ?? [])]) listener(value);
  }
}

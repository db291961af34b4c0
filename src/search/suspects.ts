/** How the evaluation of a candidate failed without an answer. */
export interface PoolFault {
  /**
   * `thread`: its thread threw or ended itself; `out-of-memory`: there was no memory for it; `hung`: no
   * answer within its time; `host`: the process of all threads crashed; `killed`: that process got a SIGKILL.
   */
  readonly kind: 'thread' | 'out-of-memory' | 'hung' | 'host' | 'killed';
  readonly message: string;
}

/** What becomes of a candidate: tried again, tried with nothing beside it, or given up. */
export type Verdict = 'again' | 'alone' | 'crashed';

/** Someone else's memory may have brought the system's killer along, and people kill as well. */
const KILLS = 3;

/** What is known against one candidate. */
export class Suspicion {
  /** True once it must have nothing beside it: then what happens is its own doing. */
  alone = false;
  #failures = 0;
  #kills = 0;

  /** Takes a fault into account. Every candidate comes to an end: no verdict but `crashed` is given often. */
  judge(kind: PoolFault['kind']): Verdict {
    const verdict = this.#verdict(kind);
    if (verdict === 'alone') this.alone = true;
    return verdict;
  }

  #verdict(kind: PoolFault['kind']): Verdict {
    switch (kind) {
      // The thread names the candidate, so nothing beside it can be to blame.
      case 'thread':
      case 'hung':
        return ++this.#failures > 1 ? 'crashed' : 'again';
      case 'out-of-memory':
      case 'host':
        return this.alone ? 'crashed' : 'alone';
      case 'killed':
        return this.alone && ++this.#kills >= KILLS ? 'crashed' : 'alone';
    }
  }
}

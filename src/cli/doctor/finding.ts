// One line of what the doctor says.

export interface Finding {
  /** What was looked at. */
  readonly check: string
  readonly state: 'ok' | 'warn' | 'fail'
  /** What was found. */
  readonly found: string
  /** What to do about it, where it is not ok. */
  readonly advice?: string
  /** `host:port`, where a deployment has several shards. */
  readonly shard?: string
}

export const ok = (check: string, found: string): Finding => ({ check, state: 'ok', found })
export const warn = (check: string, found: string, advice: string): Finding => ({ check, state: 'warn', found, advice })
export const fail = (check: string, found: string, advice: string): Finding => ({ check, state: 'fail', found, advice })

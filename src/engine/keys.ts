// Names of the engine's keys. All control state of an execution lies in one lane: one hash tag, so one slot.

/** Keys of one lane and worker group. */
export interface LaneKeys {
  readonly tag: string
  readonly tasks: string
  readonly delayed: string
  readonly events: string
  readonly index: string
  readonly live: string
  /** Prefix of the executions' hashes. */
  readonly executions: string
  code(hash: string): string
}

export function laneKeys(namespace: string, tag: string, group: string): LaneKeys {
  const lane = `${namespace}:{${tag}}`
  return {
    tag,
    tasks: `${lane}:t:${group}`,
    delayed: `${lane}:d:${group}`,
    events: `${lane}:e:${group}`,
    index: `${lane}:i:${group}`,
    live: `${lane}:live:${group}`,
    executions: `${lane}:x:`,
    code: (hash) => `${lane}:code:${hash}`,
  }
}

/** The lane that an execution's id names; ids that users choose live in the first one. */
export function laneOfExecution(id: string): string {
  return /-(gm\d+)$/.exec(id)?.[1] ?? 'gm0'
}

/** What commits name one attempt by, and what its blocks are called after. */
export function attemptToken(epoch: number, attempt: number): string {
  return epoch === 0 ? String(attempt) : `${epoch}-${attempt}`
}

export function outputName(stage: number, task: number, token: string, partition: number): string {
  return `${stage}.${task}.${token}.${partition}`
}

export function failuresName(stage: number, task: number, token: string): string {
  return `${stage}.${task}.${token}.e`
}

export function uploadName(index: number): string {
  return `in.${index}`
}

// Names of the engine's keys. All control state of an execution lies in one lane: one hash tag, so one slot.
import { slotTag } from '../redis/slots.ts'

/** Keys of one lane and worker group. */
export interface LaneKeys {
  readonly tag: string
  readonly group: string
  readonly tasks: string
  readonly delayed: string
  readonly events: string
  readonly index: string
  readonly live: string
  /** Sorted set: groups that have live workers. */
  readonly groups: string
  /** Sums of counters of user code. */
  readonly counters: string
  /** Prefix of the executions' hashes. */
  readonly executions: string
  code(hash: string): string
}

export function laneKeys(namespace: string, tag: string, group: string): LaneKeys {
  const lane = `${namespace}:{${tag}}`
  return {
    tag,
    group,
    tasks: `${lane}:t:${group}`,
    delayed: `${lane}:d:${group}`,
    events: `${lane}:e:${group}`,
    index: `${lane}:i:${group}`,
    live: `${lane}:live:${group}`,
    groups: `${lane}:groups`,
    counters: `${lane}:c:${group}`,
    executions: `${lane}:x:`,
    // Of one group: local code expires with its client, that of others does not.
    code: (hash) => `${lane}:code:${group}:${hash}`,
  }
}

/** The lane that an execution's id names; ids that users choose live in the first one. */
export function laneOfExecution(id: string): string {
  return /-(gm\d+)$/.exec(id)?.[1] ?? 'gm0'
}

/**
 * What commits name one attempt by, and what its blocks and outbox are called after. `nonce` tells attempts of one number
 * apart: a server that went back in time counts from there again, while what it forgot may still run.
 */
export function attemptToken(epoch: number, attempt: number, nonce = ''): string {
  const token = epoch === 0 ? String(attempt) : `${epoch}-${attempt}`
  return nonce === '' ? token : `${token}r${nonce}`
}

/** Key of an attempt's outbox; `x` is the execution's hash, `name` the task as `<stage>.<task>`. */
export function outboxKey(x: string, name: string, token: string): string {
  return `${x}:o:${name}.${token}`
}

/** Marker of a task whose effects are in another slot than its execution's lane. */
export function farMarker(namespace: string, slot: number, execution: string, name: string): string {
  return `${namespace}:{${slotTag(slot)}}:m:${execution}.${name}`
}

/** Fields of `x:k`: what open tasks have lying about (see _execution.lua). */
export const noted = {
  key: (x: string): string => `${x}:k`,
  markers: (name: string): string => `m.${name}`,
  isMarkers: (field: string): boolean => field.startsWith('m.'),
  isTemporary: (field: string): boolean => field.startsWith('t.'),
  /** The task, or the temporary key, that a field is about. */
  subject: (field: string): string => field.slice(2),
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

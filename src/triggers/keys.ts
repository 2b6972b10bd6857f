// Names of the triggers' keys. What is one for all lies in the first lane; what changes with an event lies in the slot of the
// stream that brought it (its home), so that acknowledgement, effects and counters are one call.
import type { Deployment } from '../redis/deployment.ts'
import { slotTag } from '../redis/slots.ts'

export interface TriggerKeys {
  /** Hash: names and revisions. */
  readonly registry: string
  readonly seats: string
  readonly live: string
  /** Stream: something changed, look again. */
  readonly events: string
  /** Prefix of the triggers' hashes. */
  readonly prefix: string
  /** Hash of one trigger. */
  trigger(name: string): string
  program(name: string, revision: string): string
  code(name: string, hash: string): string
  /** Set of the homes in which a trigger has state. */
  homes(name: string): string
  /** The stream of a trigger whose events are made by Gearmill: calls, ticks. */
  internal(name: string): string
  /** Hash: from where on a key trigger follows each primary. */
  marks(name: string): string
  /** Hash: how far the tap is in each primary's history. */
  readonly tapPositions: string
}

/** What the seats of taps are called; no trigger can be called so. */
export const tapName = '@tap'

/** Whether a seat is of a trigger: seats are called after their number and the trigger. */
export function isSeatOf(seat: string, name: string): boolean {
  return seat.slice(seat.indexOf('.') + 1) === name
}

/** A trigger's name within keys: what belongs to `a` is told from a trigger called `a:in`. */
export function nameInKeys(name: string): string {
  return name.replaceAll(':', '::')
}

export function triggerKeys(namespace: string): TriggerKeys {
  const lane = `${namespace}:{gm0}`
  const trigger = (name: string): string => `${lane}:trigger:${nameInKeys(name)}`
  return {
    registry: `${lane}:triggers`,
    seats: `${lane}:triggers:seats`,
    live: `${lane}:triggers:live`,
    events: `${lane}:triggers:events`,
    prefix: `${lane}:trigger:`,
    trigger,
    program: (name, revision) => `${trigger(name)}:p:${revision}`,
    code: (name, hash) => `${trigger(name)}:c:${hash}`,
    homes: (name) => `${trigger(name)}:homes`,
    internal: (name) => `${trigger(name)}:in`,
    marks: (name) => `${trigger(name)}:at`,
    tapPositions: `${lane}:triggers:taps`,
  }
}

/** What the client's side of triggers works with. */
export interface TriggerClient {
  readonly deployment: Deployment
  readonly namespace: string
  readonly keys: TriggerKeys
}

/** Keys of a trigger in one home. */
export interface HomeKeys {
  readonly tag: string
  readonly fences: string
  readonly counters: string
  readonly retries: string
  readonly due: string
  readonly letters: string
  readonly outboxes: string
}

/** The tag that state about events of `stream` lies under: one for all without a cluster. */
export function homeTag(deployment: Deployment, stream: string): string {
  return deployment.topology.cluster ? slotTag(deployment.slotOf(stream)) : 'gm0'
}

export function homeKeys(namespace: string, name: string, tag: string): HomeKeys {
  const home = `${namespace}:{${tag}}:trigger:${nameInKeys(name)}`
  return {
    tag,
    fences: `${home}:f`,
    counters: `${home}:n`,
    retries: `${home}:r`,
    due: `${home}:d`,
    letters: `${home}:l`,
    outboxes: `${home}:o`,
  }
}

/** Marker of an outbox in another slot than its home's. */
export function outboxMarker(namespace: string, slot: number, name: string, outbox: string): string {
  return `${namespace}:{${slotTag(slot)}}:trigger:${nameInKeys(name)}:m:${outbox}`
}

/** The consumer group of a trigger on the streams that it reads. */
export function groupOf(namespace: string, name: string): string {
  return `${namespace}:${name}`
}

/** Name of a retry or dead letter: entry, number of the event within it, stream. */
export interface EventName {
  readonly id: string
  readonly part: number
  readonly stream: string
}

export function fieldOf({ id, part, stream }: EventName): string {
  return `${id} ${part} ${stream}`
}

export function eventNameOf(field: string): EventName {
  const first = field.indexOf(' ')
  const second = field.indexOf(' ', first + 1)
  return { id: field.slice(0, first), part: Number(field.slice(first + 1, second)), stream: field.slice(second + 1) }
}

/** The streams that the fences of a home guard: each under its key, or with a seat's number in front. */
export function streamsIn(fields: readonly string[]): string[] {
  return [...new Set(fields.flatMap((field) => [field, field.replace(/^\d+\|/, '')]))]
}

/** How long an answer waits for whoever called, in milliseconds. */
export const answerMs = 60_000

/** The list that holds the answer of a call. */
export function replyKey(namespace: string, call: string): string {
  return `${namespace}:{gm0}:reply:${call}`
}

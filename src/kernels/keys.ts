// Names of the keys of kernels and chains. A kernel is one key under the namespace; a chain lives in one lane, so that a step's
// writes, its trace and what follows are one call.
import type { Deployment } from '../redis/deployment.ts'
import { laneTags } from '../redis/lanes.ts'
import { slotTag } from '../redis/slots.ts'

/** The keys of chains in one lane. */
export interface ChainLane {
  readonly tag: string
  /** What all of them begin with; what the server functions are given. */
  readonly base: string
  readonly queue: string
  /** List: a strand is ready, somebody look. */
  readonly bell: string
  readonly statistics: string
  chain(id: string): string
  trace(id: string): string
  reply(id: string): string
}

export function chainLane(namespace: string, tag: string): ChainLane {
  const base = `${namespace}:{${tag}}`
  return {
    tag,
    base,
    queue: `${base}:chains:q`,
    bell: `${base}:chains:bell`,
    statistics: `${base}:chains:stats`,
    chain: (id) => `${base}:chain:${id}`,
    trace: (id) => `${base}:chain:${id}:t`,
    reply: (id) => `${base}:reply:${id}`,
  }
}

export function chainLanes(deployment: Deployment, namespace: string): ChainLane[] {
  return laneTags(deployment, deployment.topology).map((tag) => chainLane(namespace, tag))
}

export function kernelKey(namespace: string, name: string): string {
  return `${namespace}:kernel:${name}`
}

/** Set: the names that were stored through Gearmill. */
export function kernelNames(namespace: string): string {
  return `${namespace}:{gm0}:kernels`
}

/** The key whose being there is the event. */
export function eventKey(namespace: string, name: string): string {
  return `${namespace}:event:${name}`
}

/** Marker of a step whose writes are in another slot than its chain. */
export function stepMarker(namespace: string, slot: number, name: string): string {
  return `${namespace}:{${slotTag(slot)}}:chain:m:${name}`
}

const namePattern = /^[\w$][\w$.:/-]{0,127}$/u

/** Names that a call can have: 1 to 128 letters, digits and _ $ . : / - */
export function isKernelName(name: unknown): name is string {
  return typeof name === 'string' && namePattern.test(name)
}

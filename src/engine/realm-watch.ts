// What a worker says of the realms that its processes have loaded: how much memory they take, every second; and what it learns
// in return: that a realm is gone, so that they unload it.
import { readFileSync } from 'node:fs'
import type { Deployment } from '../redis/deployment.ts'
import { itemsOf, numberOf } from '../redis/replies.ts'
import { realmKey } from './realm.ts'

const reportMs = 1000
/** Realms that are reported in one call. */
const together = 50
/** A worker that says nothing for so long has nothing loaded any more. */
const reportTtlMs = 30_000

/** A process of the worker. */
export interface RealmProcess {
  readonly pid: number | undefined
  /** Names of what it has loaded. */
  readonly realms: Set<string>
}

export interface RealmWatchOptions {
  readonly deployment: Deployment
  readonly namespace: string
  readonly worker: string
  readonly processes: () => Iterable<RealmProcess>
  /** Nobody keeps the realm any more. */
  readonly gone: (realm: string) => void
}

export class RealmWatch {
  readonly #options: RealmWatchOptions
  readonly #peaks = new Map<string, number>()
  /** Realms that the last report named processes for. */
  readonly #told = new Set<string>()
  #timer: NodeJS.Timeout | undefined
  #reporting: Promise<void> | undefined

  constructor(options: RealmWatchOptions) {
    this.#options = options
  }

  start(): void {
    this.#timer = setInterval(() => this.report(), reportMs)
    this.#timer.unref()
  }

  /** Called ten times a second: finds the peaks between reports. */
  sample(): void {
    for (const [realm, processes] of this.#loaded()) {
      const sum = processes.reduce((total, { pid }) => total + (residentBytes(pid) ?? 0), 0)
      this.#peaks.set(realm, Math.max(sum, this.#peaks.get(realm) ?? 0))
    }
  }

  /** What a process had when it was over its limit: no later look would see it. */
  sawPeak(realms: Iterable<string>, bytes: number): void {
    for (const realm of realms) this.#peaks.set(realm, Math.max(bytes, this.#peaks.get(realm) ?? 0))
  }

  #loaded(): Map<string, RealmProcess[]> {
    const loaded = new Map<string, RealmProcess[]>()
    for (const process of this.#options.processes()) {
      for (const realm of process.realms) {
        const processes = loaded.get(realm)
        if (processes) processes.push(process)
        else loaded.set(realm, [process])
      }
    }
    return loaded
  }

  /** One at a time: a server that is slow is not asked more often. */
  report(): void {
    this.#reporting ??= this.#report()
      // The next report says it.
      .catch(() => undefined)
      .finally(() => (this.#reporting = undefined))
  }

  async #report(): Promise<void> {
    const { deployment, namespace, worker, gone } = this.#options
    const loaded = this.#loaded()
    // What the last process of the worker had when it ended is still to be said.
    for (const realm of [...this.#peaks.keys(), ...this.#told]) if (!loaded.has(realm)) loaded.set(realm, [])
    const all = [...loaded]
    for (let i = 0; i < all.length; i += together) {
      const some = all.slice(i, i + together)
      const args = some.flatMap(([realm, processes]) => {
        const each = processes.flatMap(({ pid }) => (pid === undefined ? [] : [pid, residentBytes(pid) ?? 0]))
        const peak = this.#peaks.get(realm) ?? 0
        this.#peaks.delete(realm)
        if (each.length > 0) this.#told.add(realm)
        else this.#told.delete(realm)
        return [peak, each.length / 2, ...each]
      })
      const keys = some.map(([realm]) => realmKey(namespace, realm))
      const kept = itemsOf(await deployment.call('realm_report', keys, [worker, reportTtlMs, 1, ...args]))
      for (const [at, [realm]] of some.entries()) {
        if (numberOf(kept[at]) !== 0) continue
        // What its processes took is not for another realm of that name.
        this.#peaks.delete(realm)
        gone(realm)
      }
    }
  }

  /** Call it when the processes have ended. */
  async stop(): Promise<void> {
    clearInterval(this.#timer)
    await this.#reporting
    if (this.#told.size > 0) await this.#report().catch(() => undefined)
  }
}

/** Resident memory of a process; undefined where the platform does not say. */
export function residentBytes(pid: number | undefined): number | undefined {
  if (pid === undefined) return undefined
  try {
    const kib = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1]
    return kib === undefined ? undefined : Number(kib) * 1024
  } catch {
    return undefined
  }
}

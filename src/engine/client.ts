// The engine's client: submits executions and follows them. With local workers it also keeps what it submitted alive, one
// lease at a time, so that nothing stays behind when this process dies.
import { randomBytes } from 'node:crypto'
import type { BlockStore, BlockWriter } from '../blocks/store.ts'
import { ExecutionError, PlanError } from '../errors.ts'
import type { Argument, Deployment } from '../redis/deployment.ts'
import { itemsOf, numberOf, pairsOf, textOf } from '../redis/replies.ts'
import type { GroupEvents } from './events.ts'
import { throwIfAborted, type ExecutionEngine, type ExecutionHandle, type SubmitOptions } from './execution.ts'
import { counterValue } from './counters.ts'
import { Handle, type HandleHost } from './handle.ts'
import { laneKeys, laneOfExecution, uploadName, type LaneKeys } from './keys.ts'
import { writeLarge } from './large-values.ts'
import { realmFields, realmKey } from './realm.ts'
import type { Submission } from './runner.ts'

/** How long an ended execution and its result are kept, in milliseconds, where the configuration does not say. */
const retentionMs = 60 * 60 * 1000
/** And how many of them. */
const retained = 1000
/** How many are removed at a time. */
const trimmedAtOnce = 100
/** Program and code that no submit followed. */
const unsubmittedMs = 60_000
/** A lost event delays the end of a wait by so much at most. */
const lookAgainMs = 3000
const idRule = /^[\w.:-]{1,128}$/

export interface LocalWork {
  readonly executors: number
  readonly leaseMs: number
  /** A client in one of the group's own executors: the group does not end with it. */
  readonly guest?: true
}

export interface EngineClientOptions {
  readonly deployment: Deployment
  readonly namespace: string
  readonly group: string
  readonly lanes: readonly LaneKeys[]
  readonly blocks: BlockStore
  readonly events: GroupEvents
  readonly known: ReadonlyMap<object, string>
  /** Of this client's own workers; undefined where the work is that of others. */
  readonly local: LocalWork | undefined
  readonly jobs: {
    readonly maxAttempts: number
    readonly timeoutMs: number
    readonly keep?: number
    readonly keepMs?: number
  }
  readonly secret: string | undefined
}

interface Kept {
  readonly lane: LaneKeys
  readonly code: string | undefined
  readonly realm: string | undefined
  endedAt?: number
}

export class EngineClient implements ExecutionEngine, HandleHost {
  readonly deployment: Deployment
  readonly namespace: string
  readonly known: ReadonlyMap<object, string>
  readonly blocks: BlockStore
  readonly secret: string | undefined
  readonly #options: EngineClientOptions
  readonly #waiting = new Map<string, Set<() => void>>()
  /** Executions of local work: their keys, kept alive. */
  readonly #kept = new Map<string, Kept>()
  readonly #unlisten: (() => void)[] = []
  #keeper: NodeJS.Timeout | undefined
  #trimming: Promise<void> | undefined
  #turn = 0
  #closed = false

  constructor(options: EngineClientOptions) {
    this.#options = options
    this.deployment = options.deployment
    this.namespace = options.namespace
    this.known = options.known
    this.blocks = options.blocks
    this.secret = options.secret
    this.#unlisten.push(
      options.events.on(({ execution, state }) => {
        const kept = this.#kept.get(execution)
        if (kept && state !== 'waiting') kept.endedAt = performance.now()
        this.#sign(execution)
      }),
      options.events.onGap(() => {
        for (const execution of [...this.#waiting.keys()]) this.#sign(execution)
      }),
    )
    if (options.local) {
      const { leaseMs } = options.local
      this.#keeper = setInterval(() => void this.#keep(leaseMs).catch(() => undefined), leaseMs / 3)
      this.#keeper.unref()
    }
  }

  get endsWithClient(): boolean {
    return this.#options.local !== undefined
  }

  get closed(): boolean {
    return this.#closed
  }

  newId(realm = false): string {
    const { lanes } = this.#options
    const lane = lanes[realm ? 0 : this.#turn++ % lanes.length] as LaneKeys
    const id = `${Date.now().toString(36)}${randomBytes(5).toString('hex')}`
    return lane.tag === 'gm0' ? id : `${id}-${lane.tag}`
  }

  upload(execution: string, index: number): BlockWriter {
    return this.blocks.writer(execution, uploadName(index))
  }

  #laneOf(execution: string): LaneKeys {
    const tag = laneOfExecution(execution)
    const { lanes, namespace, group } = this.#options
    return lanes.find((lane) => lane.tag === tag) ?? laneKeys(namespace, tag, group)
  }

  async submit(submission: Submission, options: SubmitOptions = {}): Promise<ExecutionHandle> {
    const id = options.id ?? this.newId()
    throwIfAborted(id, options.signal)
    if (!idRule.test(id)) {
      throw new PlanError(
        'PLAN_OPTION',
        `id: expected 1 to 128 of letters, digits and _ . : -, got ${JSON.stringify(id)}`,
      )
    }
    const lane = this.#laneOf(id)
    if (submission.realm && lane.tag !== 'gm0') {
      throw new PlanError('PLAN_OPTION', `id: expected one without -${lane.tag} at its end in a realm, got ${id}`)
    }
    const code = submission.code && lane.code(submission.code.hash)
    const { local } = this.#options
    if (local) this.#kept.set(id, { lane, code, realm: submission.realm?.name })
    const x = lane.executions + id
    const keys = [x, lane.tasks, lane.delayed, lane.events, lane.index, ...(code === undefined ? [] : [code])]
    for (let tries = 0; ; tries++) {
      await Promise.all([
        writeLarge(this.deployment, `${x}:p`, submission.program, local?.leaseMs ?? unsubmittedMs),
        code === undefined || !submission.code
          ? undefined
          : writeLarge(this.deployment, code, submission.code.bytes, local?.leaseMs ?? unsubmittedMs),
      ])
      const stored = numberOf(await this.deployment.call('submit', keys, this.#describe(id, submission, options)))
      if (stored >= 0) break
      if (tries > 5) {
        throw new ExecutionError('EXECUTION_LOST', `execution ${id} could not be stored`, { execution: id })
      }
    }
    this.#trimming ??= this.#trim()
      .catch(() => undefined)
      .finally(() => (this.#trimming = undefined))
    const handle = new Handle(id, lane, this)
    this.#abortWith(handle, options.signal)
    return handle
  }

  /** Keeps an execution of local work alive that somebody else submitted. */
  keepAlive(id: string): void {
    if (this.#options.local) this.#kept.set(id, { lane: this.#laneOf(id), code: undefined, realm: undefined })
  }

  #describe(id: string, submission: Submission, options: SubmitOptions): Argument[] {
    const { local, group, jobs } = this.#options
    const table: Argument[] = ['stages', submission.stages.length]
    if (submission.written !== undefined) table.push('by', submission.written)
    const [realm, realmkey] = realmFields(this.namespace, submission.realm)
    if (realm !== '') table.push('realm', realm, 'realmkey', realmkey)
    submission.stages.forEach(({ tasks, partitions }, k) => table.push(`c${k}`, tasks, `p${k}`, partitions))
    return [
      ...[id, submission.kind, group, jobs.keepMs ?? retentionMs, local?.leaseMs ?? 0],
      Math.max(2, 2 * (local?.executors ?? 1)),
      ...[options.delayMs ?? 0, options.timeoutMs ?? jobs.timeoutMs, options.maxAttempts ?? jobs.maxAttempts],
      ...[options.memoryMb ?? 0, options.maxErrors ?? -1, submission.uploads ?? 0, boostOf(options), ...table],
    ]
  }

  #abortWith(handle: Handle, signal: AbortSignal | undefined): void {
    if (!signal) return
    const abort = (): void => void handle.abort().catch(() => undefined)
    if (signal.aborted) return abort()
    signal.addEventListener('abort', abort)
    const done = (): void => signal.removeEventListener('abort', abort)
    void handle.ended().then(done, done)
  }

  /** The execution of that id, whoever submitted it; undefined where the server does not know it. */
  async find(id: string): Promise<ExecutionHandle | undefined> {
    const lane = this.#laneOf(id)
    const x = lane.executions + id
    return (await this.deployment.command(x, ['EXISTS', x])) === 1 ? new Handle(id, lane, this) : undefined
  }

  /** Ids of this group's executions, the latest first within a lane. */
  async list(): Promise<string[]> {
    const found: string[] = []
    for (const { index } of this.#options.lanes) {
      for (let from = 0; ; from += 1000) {
        const ids = itemsOf(await this.deployment.command(index, ['ZREVRANGE', index, from, from + 999])).map(textOf)
        found.push(...ids)
        if (ids.length < 1000) break
      }
    }
    return found
  }

  /** The sum of what committed tasks have counted, and what was added here. */
  counterValue(name: string): Promise<number> {
    return counterValue(this.deployment, this.#options.lanes, name)
  }

  async addToCounter(name: string, by: number): Promise<void> {
    const { counters } = this.#options.lanes[0] as LaneKeys
    await this.deployment.command(counters, ['HINCRBYFLOAT', counters, name, by])
    const { local } = this.#options
    // It is added: what fails from here on must not look as if it were not. The next renewal gives it its time, too.
    if (local) await this.deployment.command(counters, ['PEXPIRE', counters, local.leaseMs]).catch(() => undefined)
  }

  nextSign(execution: string): Promise<void> {
    return new Promise((resolve) => {
      const waiters = this.#waiting.get(execution) ?? new Set()
      this.#waiting.set(execution, waiters)
      const done = (): void => {
        clearTimeout(timer)
        waiters.delete(done)
        if (waiters.size === 0) this.#waiting.delete(execution)
        resolve()
      }
      const timer = setTimeout(done, lookAgainMs)
      waiters.add(done)
    })
  }

  #sign(execution: string): void {
    for (const waiter of [...(this.#waiting.get(execution) ?? [])]) waiter()
  }

  forgotten(execution: string): void {
    this.#kept.delete(execution)
  }

  async #keep(leaseMs: number): Promise<void> {
    await this.#forgetOld()
    const byLane = new Map<LaneKeys, Set<string>>()
    for (const lane of this.#options.lanes) {
      byLane.set(lane, new Set([lane.tasks, lane.delayed, lane.events, lane.index, lane.counters]))
    }
    const owners = new Map<string, string[]>()
    for (const [id, { lane, code, realm, endedAt }] of this.#kept) {
      const x = lane.executions + id
      if (realm !== undefined && endedAt === undefined) owners.set(realm, [...(owners.get(realm) ?? []), `x.${id}`])
      const keys = byLane.get(lane)
      for (const suffix of ['', ':p', ':done', ':w', ':e', ':letters', ':k']) keys?.add(x + suffix)
      if (code !== undefined) keys?.add(code).add(`${code}:r`)
    }
    for (const [realm, executions] of owners) {
      await this.deployment.call('realm_renew', [realmKey(this.namespace, realm)], [leaseMs, ...executions])
    }
    for (const keys of byLane.values()) {
      const all = [...keys]
      for (let i = 0; i < all.length; i += 200) {
        const reply = await this.deployment.call('keep', all.slice(i, i + 200), [leaseMs])
        const elsewhere = itemsOf(reply).map(textOf)
        await Promise.all(elsewhere.map((key) => this.deployment.command(key, ['PEXPIRE', key, leaseMs])))
      }
    }
  }

  /** Removes the oldest of the ended executions where there are more than are to be kept. */
  async #trim(): Promise<void> {
    const { lanes, jobs } = this.#options
    const counts = await Promise.all(
      lanes.map(async ({ index }) =>
        numberOf(await this.deployment.command(index, ['ZCOUNT', index, '-inf', '(+inf'])),
      ),
    )
    const excess = counts.reduce((sum, count) => sum + count, 0) - (jobs.keep ?? retained)
    if (excess <= 0) return
    const most = Math.min(excess, trimmedAtOnce)
    const oldest = await Promise.all(
      lanes.map(async (lane) => {
        const range = ['ZRANGEBYSCORE', lane.index, '-inf', '(+inf', 'WITHSCORES', 'LIMIT', 0, most] as const
        const items = itemsOf(await this.deployment.command(lane.index, [...range]))
        // Pairs or a flat list, by the version of the protocol.
        const found = pairsOf(items.flatMap((item) => (Array.isArray(item) ? item : [item])))
        return found.map(([id, score]) => ({ id: textOf(id), score: Number(textOf(score)), lane }))
      }),
    )
    const all = oldest.flat().sort((a, b) => a.score - b.score)
    for (const { id, lane } of all.slice(0, most)) await new Handle(id, lane, this).remove()
  }

  /** A client that lives for long does not keep every result it ever had. */
  async #forgetOld(): Promise<void> {
    const { keepMs = retentionMs } = this.#options.jobs
    for (const [id, { lane, endedAt }] of this.#kept) {
      if (endedAt !== undefined && performance.now() - endedAt > keepMs) await new Handle(id, lane, this).remove()
    }
  }

  /** Local work goes with its client: executions, results, streams. */
  async close(): Promise<void> {
    this.#closed = true
    clearInterval(this.#keeper)
    for (const unlisten of this.#unlisten) unlisten()
    await this.#trimming
    if (this.#options.local) await this.#removeAll()
    for (const execution of [...this.#waiting.keys()]) this.#sign(execution)
  }

  async #removeAll(): Promise<void> {
    await Promise.allSettled([...this.#kept].map(([id, { lane }]) => new Handle(id, lane, this).remove()))
    if (this.#options.local?.guest) return
    await Promise.allSettled(
      this.#options.lanes.map((lane) =>
        this.deployment.command(lane.tasks, [
          ...['UNLINK', lane.tasks, `${lane.tasks}:n`, lane.delayed, lane.events, lane.index, lane.counters],
          ...[lane.live, `${lane.live}:info`, `${lane.live}:n`],
        ]),
      ),
    )
  }
}

/** A priority lets an execution have more of its tasks wait for a worker: up to 16 times as many. */
function boostOf({ priority = 0 }: SubmitOptions): number {
  return 2 ** Math.min(4, Math.max(0, priority))
}

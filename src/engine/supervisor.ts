// A worker: takes tasks from the lanes of its group, gives each to an executor, and answers for them.
//
// Life of a task here: arrived -> queued -> running in an executor -> ended (settled there, or given back here) or the
// executor died (judged: again, closer, or never). From its arrival to its end the worker renews its lease. At most as
// many tasks are taken as there are executors without one. Executors are started when there is something to run, and
// replaced when they die.
import { join } from 'node:path'
import { removeTemporaryDirectory, temporaryDirectory } from '../blocks/temporary-directory.ts'
import { runtimeVersion } from '../native/onnx/runtime.ts'
import type { Deployment } from '../redis/deployment.ts'
import { decodeAttempts, type Death } from './attempts.ts'
import type { GroupEvents } from './events.ts'
import { ExecutorProcess } from './executor-process.ts'
import { Intake, type Arrival } from './intake.ts'
import type { LaneKeys } from './keys.ts'
import type { Logger } from './logger.ts'
import { poolOf, sizeOf, type Pool } from './pool.ts'
import type { ExecutorSetup, FromExecutor, TaskMessage, TaskOutcome } from './protocol.ts'
import { RealmWatch } from './realm-watch.ts'
import { type HeldTask, Verdicts, unableDelayMs } from './verdicts.ts'

const watchMs = 100
/** An aborted task that goes on for so long is ended by force. */
const abortGraceMs = 500
const startRetryMs = 1000
/** How much later than the server and its clients a worker may learn that a task has ended. */
const settleMs = 200
/** How long an executor that is not needed any more may take to end. */
const closeMs = 2000

export interface SupervisorOptions {
  readonly deployment: Deployment
  readonly lanes: readonly LaneKeys[]
  readonly worker: string
  readonly executors: number
  readonly leaseMs: number
  /** Memory limit of an executor, in MiB. */
  readonly memoryMb: number
  readonly setup: Omit<ExecutorSetup, 'type' | 'scratch' | 'worker' | 'memoryMb'>
  readonly events: GroupEvents
  readonly logger: Logger
  /** Shows what shipped functions write to their console. */
  readonly console: (level: (FromExecutor & { type: 'log' })['level'], text: string) => void
}

interface Held extends HeldTask {
  readonly pool: Pool
  executor?: ExecutorProcess
}

export class Supervisor {
  readonly #options: SupervisorOptions
  #scratch = ''
  readonly #intakes = new Map<string, Intake>()
  readonly #executors = new Set<ExecutorProcess>()
  /** Of executors that are closed while others go on. */
  readonly #leaving = new Set<Promise<void>>()
  /** By lane and entry: streams of two servers number entries of one moment alike. */
  readonly #held = new Map<string, Held>()
  readonly #queue: Held[] = []
  readonly #waiters: (() => void)[] = []
  readonly #ended = new Map<string, true>()
  readonly #realms: RealmWatch
  readonly #verdicts: Verdicts
  #faultsLeft: number
  #watch: NodeJS.Timeout | undefined
  #unfollow: (() => void) | undefined
  #stopping = false
  #spawned = 0
  #startFailures = 0

  constructor(options: SupervisorOptions) {
    this.#options = options
    this.#faultsLeft = options.setup.fault ? (options.setup.fault.times ?? 1) : 0
    this.#realms = new RealmWatch({
      deployment: options.deployment,
      namespace: options.setup.namespace,
      worker: options.worker,
      processes: () => this.#executors,
      gone: (realm) => this.#unload(realm),
    })
    const { deployment, worker, logger } = options
    this.#verdicts = new Verdicts({
      deployment,
      worker,
      logger,
      returned: ({ arrival }, delayMs) => this.#intakes.get(arrival.lane.tag)?.lookIn(delayMs),
      released: (held) => this.#release(held),
    })
  }

  async start(): Promise<void> {
    this.#scratch = await temporaryDirectory('scratch')
    this.#unfollow = this.#options.events.on(({ lane, execution, state, delayMs }) => {
      if (state === 'waiting') this.#intakes.get(lane.tag)?.lookIn(delayMs)
      else this.#executionEnded(execution)
    })
    this.#watch = setInterval(() => {
      for (const executor of this.#executors) executor.watch()
      this.#realms.sample()
    }, watchMs)
    this.#watch.unref()
    this.#realms.start()
    await Promise.all(this.#options.lanes.map((lane) => this.addLane(lane)))
  }

  /** Serves one more lane (a shard that joined). */
  async addLane(lane: LaneKeys): Promise<void> {
    if (this.#intakes.has(lane.tag) || this.#stopping) return
    const { deployment, worker, leaseMs, executors, logger } = this.#options
    const onnxruntime = runtimeVersion()
    const text = JSON.stringify({ executors, pid: process.pid, node: process.version, onnxruntime })
    const intake = new Intake({
      deployment,
      lane,
      worker,
      leaseMs,
      wanted: () => this.#wanted(),
      arrived: (arrival) => this.#arrived(arrival),
      allowScripts: this.#options.setup.allowScripts,
      held: () => [...this.#held.values()].filter((held) => held.arrival.lane === lane).map((held) => held.arrival.id),
      lost: (entries) => this.#lost(lane.tag, entries),
      describe: () => ({ executors, text }),
      trouble: (what, error) => logger.warn(`${what}: ${String(error)}`),
    })
    this.#intakes.set(lane.tag, intake)
    await intake.start()
  }

  get executorPids(): number[] {
    return [...this.#executors].flatMap(({ pid }) => (pid === undefined ? [] : [pid]))
  }

  /** Executors that run a task now. */
  get busyPids(): number[] {
    return [...this.#executors].flatMap(({ pid, task }) => (pid === undefined || !task ? [] : [pid]))
  }

  #free(): number {
    if (this.#stopping) return 0
    let working = 0
    for (const { pool } of this.#held.values()) if (!pool.waits) working += 1
    return this.#options.executors - working
  }

  async #wanted(): Promise<number> {
    while (this.#free() <= 0 && !this.#stopping) await new Promise<void>((resolve) => this.#waiters.push(resolve))
    return Math.max(1, this.#free())
  }

  #wake(): void {
    if (this.#free() > 0 || this.#stopping) for (const waiter of this.#waiters.splice(0)) waiter()
  }

  #arrived(arrival: Arrival): void {
    const { fields, deliveries } = arrival
    const attempts = decodeAttempts(fields.get('c'))
    const message: TaskMessage = {
      type: 'task',
      lane: arrival.lane.tag,
      entry: arrival.id,
      execution: fields.get('x') ?? '',
      stage: Number(fields.get('s')),
      task: Number(fields.get('t')),
      epoch: Number(fields.get('e')),
      attempt: Number(fields.get('a')) + deliveries - 1,
      skip: attempts.skip,
      ...(attempts.suspect ? { suspect: attempts.suspect } : {}),
      ...(attempts.traced ? { traced: true } : {}),
    }
    // A worker that died with the task took no note of where; its death counts all the same.
    const state = { ...attempts, deaths: attempts.deaths + deliveries - 1 }
    const held: Held = { arrival, message, pool: poolOf(fields), attempts: state }
    const key = keyOf(message.lane, message.entry)
    if (this.#held.has(key)) return
    this.#held.set(key, held)
    if (this.#stopping) return void this.#verdicts.giveBack(held, 0)
    if (this.#ended.has(message.execution)) return void this.#drop(held)
    if (attempts.unable.includes(this.#options.worker)) return void this.#verdicts.giveBack(held, unableDelayMs)
    this.#queue.push(held)
    this.#dispatch()
  }

  #dispatch(): void {
    if (this.#stopping) return
    // A task whose pool is full waits, and those behind it do not wait for it.
    for (const held of [...this.#queue]) {
      const executor = this.#executorFor(held.pool)
      if (!executor) continue
      this.#queue.splice(this.#queue.indexOf(held), 1)
      held.executor = executor
      if (held.pool.realm) executor.realms.add(held.pool.realm.name)
      executor.run(held.message)
    }
  }

  #executorFor(pool: Pool): ExecutorProcess | undefined {
    const all = [...this.#executors].filter((executor) => executor.pool === pool.key)
    const free = all.find(({ alive, task }) => alive && !task)
    return free ?? (all.length < sizeOf(pool, this.#options.executors) ? this.#spawn(pool) : undefined)
  }

  /** Nobody keeps a realm any more: executors of its own have nothing left to do. */
  #unload(realm: string): void {
    for (const executor of this.#executors) {
      if (!executor.realms.has(realm) || executor.task) continue
      executor.unload(realm)
      if (executor.pool === `realm ${realm}`) this.#retire(executor)
    }
  }

  /** It gets no further task. */
  #retire(executor: ExecutorProcess): void {
    this.#executors.delete(executor)
    const closing = executor.close(closeMs).finally(() => this.#leaving.delete(closing))
    this.#leaving.add(closing)
  }

  #spawn(pool: Pool): ExecutorProcess {
    const { setup, worker } = this.#options
    const memoryMb = Math.min(this.#options.memoryMb, pool.memoryMb ?? Infinity)
    const { fault, ...plain } = setup
    const withFault = fault !== undefined && this.#faultsLeft > 0
    if (withFault) this.#faultsLeft -= 1
    const scratch = join(this.#scratch, String(this.#spawned++))
    const own = { ...plain, worker, memoryMb, ...(withFault ? { fault } : {}) }
    let ready = false
    const executor = new ExecutorProcess(own, scratch, memoryMb, pool.key, {
      ended: (task, outcome) => {
        // Nothing that is known: user code may have broken the process (its globals, say). The next task gets a sound one.
        if (outcome.kind === 'broken' && outcome.failure.code === 'EXECUTION_CRASHED') {
          this.#retire(executor)
        }
        void this.#endedWith(task, outcome)
      },
      died: (task, maxAttempts, death) => {
        this.#executors.delete(executor)
        const known = ready || !task ? this.#executorDied(task, maxAttempts, death) : this.#neverStarted(task)
        // What waits for an executor gets another one, whatever became of this one's task.
        void known.finally(() => {
          this.#wake()
          this.#dispatch()
        })
      },
      log: this.#options.console,
      overMemory: (bytes) => this.#realms.sawPeak(executor.realms, bytes),
    })
    void executor.ready.then(() => {
      ready = executor.pid !== undefined
      if (ready) this.#startFailures = 0
    })
    this.#executors.add(executor)
    return executor
  }

  #heldOf({ lane, entry }: TaskMessage): Held | undefined {
    return this.#held.get(keyOf(lane, entry))
  }

  // A task must not suffer for a process that did not come up.
  async #neverStarted(task: TaskMessage): Promise<void> {
    const held = this.#heldOf(task)
    if (!held) return
    this.#startFailures += 1
    this.#options.logger.error(`an executor ended while it started (${this.#startFailures} in a row)`)
    await this.#verdicts.giveBack(held, startRetryMs)
  }

  async #endedWith(task: TaskMessage, outcome: TaskOutcome): Promise<void> {
    const held = this.#heldOf(task)
    if (held && !held.over) await this.#verdicts.ended(held, outcome)
    this.#wake()
    this.#dispatch()
  }

  async #executorDied(task: TaskMessage | undefined, maxAttempts: number | undefined, death: Death): Promise<void> {
    const held = task && this.#heldOf(task)
    // Killed because it did not end with its execution, as like as not.
    if (held && !held.over && this.#ended.has(held.message.execution)) await this.#drop(held)
    else if (held && !held.over) await this.#verdicts.died(held, death, maxAttempts)
    else if (death.thrown) {
      const { stack, message } = death.thrown.failure
      this.#options.logger.error(`a shipped function ${message}, after its task had ended\n${stack ?? ''}`)
    }
  }

  /** Forgets a task whose execution ended, unless it runs again: the server went back in time, or the id was used again. */
  async #drop(held: Held): Promise<void> {
    const { lane, id } = held.arrival
    const { execution, epoch } = held.message
    const keys = [lane.tasks, lane.executions + execution]
    const dropped = await this.#options.deployment.call('drop', keys, [id, epoch]).catch(() => 1)
    if (dropped !== 0) return this.#release(held)
    this.#ended.delete(execution)
    if (this.#stopping) return this.#verdicts.giveBack(held, 0)
    this.#queue.push(held)
    this.#dispatch()
  }

  #release(held: HeldTask): void {
    this.#held.delete(keyOf(held.message.lane, held.message.entry))
    this.#wake()
  }

  /** Leases that another worker has now: what is queued is not run, what runs is told to stop (and refused if it commits). */
  #lost(lane: string, entries: readonly string[]): void {
    for (const entry of entries) {
      const held = this.#held.get(keyOf(lane, entry))
      const queued = held ? this.#queue.indexOf(held) : -1
      if (held && queued >= 0) {
        this.#queue.splice(queued, 1)
        this.#release(held)
      } else {
        held?.executor?.abort(entry)
      }
    }
  }

  #executionEnded(execution: string): void {
    this.#ended.set(execution, true)
    for (const old of this.#ended.keys()) {
      if (this.#ended.size <= 1000) break
      this.#ended.delete(old)
    }
    for (const held of [...this.#queue]) {
      if (held.message.execution !== execution) continue
      this.#queue.splice(this.#queue.indexOf(held), 1)
      void this.#drop(held)
    }
    for (const executor of this.#executors) {
      const { task } = executor
      if (task?.execution === execution) {
        executor.abort(task.entry)
        setTimeout(() => {
          if (executor.task === task) executor.killHung('its execution was aborted')
        }, abortGraceMs).unref()
      } else {
        executor.forget(execution)
      }
    }
  }

  /** Takes nothing new, gives what is running `graceMs` to end, and hands back the rest unharmed. */
  async drain(graceMs: number): Promise<void> {
    this.#stopping = true
    this.#wake()
    for (const held of this.#queue.splice(0)) await this.#verdicts.giveBack(held, 0)
    const deadline = performance.now() + Math.max(graceMs, settleMs)
    const running = (): boolean => [...this.#held.values()].some((held) => !held.over)
    while (running() && performance.now() < deadline) {
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
    const late = [...this.#held.values()].filter((held) => !held.over)
    await Promise.all([...this.#executors].map((executor) => executor.close(late.length > 0 ? 0 : 2000)))
    await Promise.all(this.#leaving)
    for (const held of late) await this.#verdicts.giveBack(held, 0)
    await this.#end()
  }

  async #end(): Promise<void> {
    clearInterval(this.#watch)
    this.#unfollow?.()
    await this.#realms.stop()
    await Promise.all([...this.#intakes.values()].map((intake) => intake.close()))
    await Promise.allSettled([...this.#intakes.values()].map((intake) => intake.leave()))
    removeTemporaryDirectory(this.#scratch)
  }
}

const keyOf = (lane: string, entry: string): string => `${lane} ${entry}`

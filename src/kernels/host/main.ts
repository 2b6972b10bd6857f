// A host: a child process in which steps of chains run.
import { redirectConsole } from '../../engine/executor/console.ts'
import { endWithParent, type ParentWatch } from '../../engine/executor/parent-watch.ts'
import { connectDeployment } from '../../redis/connect.ts'
import { PositionWriter } from '../position.ts'
import type { FromHost, HostSetup, ToHost } from '../protocol.ts'
import { createKernelRuntime } from '../runtime.ts'
import { Lookup } from './lookup.ts'
import { Runner } from './runner.ts'

interface Host {
  readonly runner: Runner
  close(): Promise<void>
}

async function open(setup: HostSetup): Promise<Host> {
  const deployment = await connectDeployment(setup.url, { name: 'gearmill-kernel' })
  const lookup = new Lookup(deployment, setup.namespace)
  const runtime = createKernelRuntime({
    resolve: (name) => lookup.resolve(name),
    secret: setup.secret,
    base: setup.base,
  })
  const runner = new Runner({ setup, deployment, runtime, lookup, position: new PositionWriter(), tell: send })
  return {
    runner,
    async close() {
      await runner.drained()
      await runtime.close()
      await deployment.close()
    },
  }
}

function send(message: FromHost): void {
  if (process.connected) process.send?.(message)
}

function start(): void {
  const watch: ParentWatch = endWithParent()
  redirectConsole((message) => {
    if (message.type === 'log') send(message)
  })
  // The service decides when a host stops; a terminal's Ctrl-C reaches every process of its group.
  process.on('SIGINT', () => undefined)
  process.on('SIGTERM', () => undefined)
  let host: Promise<Host> | undefined
  process.on('message', (message: ToHost) => {
    if (message.type === 'setup') {
      watch.leaves(message.scratch)
      host = open(message)
      host.then(() => send({ type: 'ready' }), fail)
      return
    }
    void host?.then((ready) => {
      if (message.type === 'look') ready.runner.look(message.lane)
      else void ready.close().finally(() => process.exit(0))
    }, fail)
  })
  process.on('disconnect', () => watch.gone())
  // Left by a trusted step, after its end: nobody waits for it any more.
  process.on('unhandledRejection', (reason) => {
    send({ type: 'log', level: 'warn', text: `a kernel left a rejected promise: ${String(reason)}` })
  })
}

function fail(error: unknown): void {
  send({ type: 'log', level: 'error', text: `a host of kernels could not start: ${String(error)}` })
  process.exit(1)
}

start()

// A host: a child process in which steps of chains run.
import { serveParent, tell } from '../../engine/executor/serve-parent.ts'
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
  const deployment = await connectDeployment(setup.url, { name: 'gearmill-kernel', loaded: true })
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

const send: (message: FromHost) => void = tell

serveParent<ToHost, Host>({
  what: 'a host of kernels',
  open,
  heard: ({ runner }, { lane }) => runner.look(lane),
})
// Left by a trusted step, after its end: nobody waits for it any more.
process.on('unhandledRejection', (reason) => {
  send({ type: 'log', level: 'warn', text: `a kernel left a rejected promise: ${String(reason)}` })
})

// `gearmill kernels`: stores kernels, shows them, starts chains and shows what ran.
import { resolve } from 'node:path'
import { Argument, Command } from 'commander'
import type { Chain, TraceEntry } from '../kernels/chain.ts'
import type { KernelError } from '../errors.ts'
import type { Kernel, Kernels } from '../kernels/kernels.ts'
import type { KernelOptions } from '../kernels/store.ts'
import { connect } from '../mill.ts'
import {
  configOf,
  flagsOf,
  loggerTo,
  print,
  say,
  wholeNumber,
  withCommonFlags,
  type Cli,
  type CommonFlags,
} from './cli.ts'
import { printTable } from './executions.ts'

const actions = ['push', 'ls', 'show', 'run', 'trace', 'resume', 'abort', 'remove'] as const
type Action = (typeof actions)[number]

/** What each action needs. */
const subjects: Readonly<Record<Action, string | undefined>> = {
  push: 'dir',
  ls: undefined,
  show: 'name',
  run: 'name',
  trace: 'id',
  resume: 'id',
  abort: 'id',
  remove: 'name',
}

/** Flags that only one action has a use for. */
const flagOwners: Readonly<Record<string, Action>> = {
  trusted: 'push',
  timeout: 'push',
  memory: 'push',
  retries: 'push',
  id: 'run',
  detach: 'run',
}

interface KernelFlags extends CommonFlags {
  readonly trusted?: boolean
  readonly timeout?: number
  readonly memory?: number
  readonly retries?: number
  readonly id?: string
  readonly detach?: boolean
}

export function kernelsCommand(cli: Cli): Command {
  const command = new Command('kernels')
    .summary('store kernels, run chains, show traces')
    .description(
      '`push DIR` stores every .ts and .js file under its base name. `ls` lists kernels, `show NAME` prints one, `remove NAME` removes it. `run NAME ARG...` starts a chain and prints its last value as JSON; `trace ID` shows the steps that ran, `resume ID` lets a failed chain go on, `abort ID` ends one. Arguments are texts, read as the kernel declares; what follows `--` is never a flag.',
    )
    .addArgument(new Argument('<action>', 'what to do').choices(actions))
    .argument('[subject]', 'folder, name or id')
    .argument('[args...]', 'arguments of the first kernel (run)')
    .option('--trusted', 'push: with all rights of the executor, signed with GEARMILL_SECRET')
    .option('--timeout <ms>', 'push: time that one step may take (default: 1000)', wholeNumber(1, 86_400_000))
    .option(
      '--memory <mb>',
      'push: memory that one step may use in the sandbox, 16 to 2048 (default: 64)',
      wholeNumber(1, 65_536),
    )
    .option('--retries <n>', 'push: how often a failed step is tried again (default: 0)', wholeNumber(0, 1000))
    .option('--id <id>', 'run: the same id is the same chain')
    .option('--detach', 'run: print the id and leave the chain to workers')
  return withCommonFlags(command).action(async (action: Action, subject: string | undefined, args: string[]) => {
    const flags = flagsOf<KernelFlags>(command)
    const needed = subjects[action]
    if (needed !== undefined && subject === undefined) command.error(`error: missing required argument '${needed}'`)
    for (const [flag, owner] of Object.entries(flagOwners)) {
      if (owner !== action && flag in command.opts()) command.error(`error: --${flag} belongs to ${owner}`)
    }
    const surplus = needed === undefined ? subject : action === 'run' ? undefined : args[0]
    if (surplus !== undefined) command.error(`error: ${action} takes no argument '${surplus}'`)
    const { config } = configOf(cli, flags)
    const { url, namespace } = config
    // A chain that somebody waits for here is run here too: there need not be a worker.
    const runs = action === 'run' && flags.detach !== true
    const logger = loggerTo(cli, flags.json === true, 'warn')
    const how = runs ? ({ workers: 'local', executors: 1 } as const) : ({ workers: 'remote' } as const)
    const mill = await connect({ url, namespace, signal: cli.signal, logger, ...how })
    try {
      await act(cli, mill.kernels, action, subject ?? '', args, flags)
    } finally {
      await mill.close()
    }
  })
}

async function act(
  cli: Cli,
  kernels: Kernels,
  action: Action,
  subject: string,
  args: readonly string[],
  flags: KernelFlags,
): Promise<void> {
  const json = flags.json === true
  switch (action) {
    case 'push': {
      const names = await kernels.push(resolve(cli.cwd, subject), optionsOf(flags))
      if (json) return print(cli, JSON.stringify(names))
      return say(cli, names.length === 0 ? 'no kernels there' : `stored ${names.join(', ')}`)
    }
    case 'ls':
      return list(cli, kernels, json)
    case 'show':
      return show(cli, await kernels.get(subject), json)
    case 'run':
      return run(cli, await kernels.start({ name: subject, args, text: true, ...idOf(flags) }), flags)
    case 'trace':
      return trace(cli, await kernels.chain(subject).trace(), json)
    case 'resume': {
      const again = await kernels.chain(subject).resume()
      if (json) return print(cli, JSON.stringify({ id: subject, resumed: again }))
      return say(cli, `${again} ${again === 1 ? 'step is' : 'steps are'} tried again`)
    }
    case 'abort': {
      const aborted = await kernels.chain(subject).abort()
      if (json) return print(cli, JSON.stringify({ id: subject, aborted }))
      return say(cli, aborted ? `${subject} is aborted` : `${subject} had ended`)
    }
    case 'remove': {
      const removed = await kernels.remove(subject)
      if (json) return print(cli, JSON.stringify({ name: subject, removed }))
      return say(cli, removed ? `${subject} is removed` : `there was no ${subject}`)
    }
  }
}

function optionsOf({ trusted, timeout, memory, retries }: KernelFlags): KernelOptions {
  return {
    ...(trusted === true ? { trusted } : {}),
    ...(timeout === undefined ? {} : { timeoutMs: timeout }),
    ...(memory === undefined ? {} : { memoryMb: memory }),
    ...(retries === undefined ? {} : { retries }),
  }
}

function idOf({ id }: KernelFlags): { readonly id?: string } {
  return id === undefined ? {} : { id }
}

async function list(cli: Cli, kernels: Kernels, json: boolean): Promise<void> {
  const all = await kernels.list()
  if (json) return print(cli, JSON.stringify(all))
  if (all.length === 0) return say(cli, 'no kernels')
  const rows = all.map(({ name, version, trusted, statistics: { steps, failures, meanMs } }) => [
    ...[name, version, trusted ? 'trusted' : 'sandbox', steps, failures, meanMs.toFixed(3)],
  ])
  printTable(cli, ['name', 'version', 'runs', 'steps', 'failed', 'mean ms'], rows)
}

function show(cli: Cli, kernel: Kernel, json: boolean): void {
  if (json) return print(cli, JSON.stringify(kernel))
  const { name, version, trusted, options, versions, statistics, source } = kernel
  say(cli, `${name}, version ${version}, ${trusted ? 'trusted' : 'in the sandbox'}, options ${JSON.stringify(options)}`)
  say(cli, `${statistics.steps} steps, ${statistics.failures} failed, ${statistics.meanMs.toFixed(3)} ms each`)
  for (const each of versions) say(cli, `${each.version} of ${new Date(each.stored).toISOString()}`)
  print(cli, source.trimEnd())
}

async function run(cli: Cli, chain: Chain, { detach, json }: KernelFlags): Promise<void> {
  if (detach === true) return print(cli, json === true ? JSON.stringify({ id: chain.id }) : chain.id)
  say(cli, `chain ${chain.id}`)
  print(cli, JSON.stringify((await chain.done({ signal: cli.signal })) ?? null))
}

function trace(cli: Cli, entries: readonly TraceEntry[], json: boolean): void {
  if (json) {
    const withMessages = entries.map(({ error, ...entry }) => ({ ...entry, error: error && told(error) }))
    return print(cli, JSON.stringify(withMessages))
  }
  const rows = entries.map(
    ({ step, branch, attempt, kernel, version, inputs, writes, next, started, ended, error }) => [
      ...[branch === '0' ? step : `${step} ${branch}`, attempt, kernel, version, (ended - started).toFixed(3)],
      ...[
        short(JSON.stringify(inputs)),
        writes.length,
        error === undefined ? next : `${error.code} ${firstLine(error)}`,
      ],
    ],
  )
  printTable(cli, ['step', 'attempt', 'kernel', 'version', 'ms', 'inputs', 'writes', 'next'], rows)
}

/** As JSON: an error's message is none of the properties that JSON takes. */
function told({ code, message, hint, kernel, version, chain, step, line, module }: KernelError): object {
  return { code, message, hint, kernel, version, chain, step, line, module }
}

const short = (text: string): string => (text.length > 60 ? `${text.slice(0, 57)}...` : text)
const firstLine = ({ message }: Error): string => message.split('\n')[0] ?? ''

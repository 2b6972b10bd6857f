// `gearmill inspect ID`: plan, stages, errors and profile of one execution.
import { Command } from 'commander'
import { readLarge } from '../engine/large-values.ts'
import type { ExecutionDeadLetter, ExecutionProfile, ExecutionStatus } from '../engine/execution.ts'
import type { Failure } from '../engine/runner.ts'
import { decodeProgram, type StageProgram } from '../pipeline/program.ts'
import { textMapOf } from '../redis/replies.ts'
import { flagsOf, print, wholeNumber, withCommonFlags, type Cli, type CommonFlags } from './cli.ts'
import { duration, lookAround, printTable, tasksOf, type Outlook } from './executions.ts'
import { amount } from './progress.ts'

interface InspectFlags extends CommonFlags {
  readonly errors: number
}

/** A stage as it was planned: calls as they were written. */
interface StagePlan {
  readonly stage: number
  readonly tasks: number
  readonly partitions: number
  /** The reader, or what the stage merges. */
  readonly input: string
  readonly operations: readonly string[]
  /** What becomes of the records. */
  readonly output: string
}

/** What there is to say of an execution; with --json, what is printed. */
interface Inspection extends ExecutionStatus {
  readonly group: string
  /** `pipeline`, `call` or another kind of program. */
  readonly kind: string
  /** What ended it, where it did not end well. */
  readonly failure: Failure | undefined
  /** The text, of a script. */
  readonly script: string | undefined
  /** Undefined for what is no pipeline. */
  readonly plan: readonly StagePlan[] | undefined
  readonly profile: ExecutionProfile
  /** Failed records, the first of them; undefined where this machine cannot read them. */
  readonly failures: readonly Failure[] | undefined
  readonly letters: readonly ExecutionDeadLetter[]
}

export function inspectCommand(cli: Cli): Command {
  const command = new Command('inspect')
    .summary('show an execution: plan, stages, errors, profile')
    .description('Everything that the server knows of one execution.')
    .argument('<id>', 'the execution, as `gearmill ls` shows it')
    .option('--errors <n>', 'failed records to show, at most', wholeNumber(0), 10)
  return withCommonFlags(command).action(async (id: string) => {
    const flags = flagsOf<InspectFlags>(command)
    await lookAround(cli, flags, async (outlook) => {
      const inspection = await inspect(outlook, id, flags.errors)
      if (flags.json === true) print(cli, JSON.stringify(inspection))
      else show(cli, inspection)
    })
  })
}

async function inspect(outlook: Outlook, id: string, most: number): Promise<Inspection> {
  const { group, handle } = await outlook.get(id)
  const key = outlook.keyOf(id)
  const [status, profile, letters, fields, program] = await Promise.all([
    handle.status(),
    handle.profile(),
    handle.deadLetters(),
    outlook.deployment.command(key, ['HGETALL', key]).then(textMapOf),
    readLarge(outlook.deployment, `${key}:p`),
  ])
  const failure = fields.get('failure')
  const kind = fields.get('kind') ?? ''
  return {
    ...status,
    group,
    kind,
    script: kind === 'script' && program.length > 0 ? scriptOf(program) : undefined,
    failure: failure === undefined ? undefined : (JSON.parse(failure) as Failure),
    plan: kind === 'pipeline' && program.length > 0 ? decodeProgram(program).stages.map(planOf) : undefined,
    profile,
    failures: status.errors > 0 && status.ended !== undefined ? await firstOf(handle.failures(), most) : [],
    letters,
  }
}

function scriptOf(program: Uint8Array): string {
  return (JSON.parse(new TextDecoder().decode(program)) as { readonly script: string }).script
}

function planOf({ source, local, target, tasks, partitions }: StageProgram, stage: number): StagePlan {
  const input = source.kind === 'reader' ? source.call.text : `${source.kind} ${source.call.text}`
  const output = target.kind === 'result' ? 'result' : `${target.kind} ${target.call.text}`
  return { stage, tasks, partitions, input, operations: local.map(({ text }) => text), output }
}

/** Undefined where the blocks are files of another machine or process. */
async function firstOf(failures: AsyncIterable<Failure>, most: number): Promise<Failure[] | undefined> {
  const found: Failure[] = []
  try {
    for await (const failure of failures) {
      if (found.length >= most) break
      found.push(failure)
    }
  } catch {
    return undefined
  }
  return found
}

function show(cli: Cli, seen: Inspection): void {
  const { id, state, created, ended, errors, written, retries, group, kind, failure, plan, failures, letters } = seen
  const facts: readonly (readonly [string, string])[] = [
    ['id', id],
    ['kind', kind],
    ['group', group],
    ['state', state],
    ['created', new Date(created).toISOString()],
    ['time', duration((ended ?? Date.now()) - created)],
    ['tasks', tasksOf(seen)],
    ['errors', String(errors)],
    ['written', String(written)],
    ['retries', String(retries)],
    ...(failure === undefined ? [] : [['failure', `${failure.code}: ${failure.message}`] as const]),
  ]
  for (const [name, value] of facts) print(cli, `${name.padEnd(8)}  ${value}`)
  if (seen.script !== undefined) print(cli, `\n${seen.script}`)
  for (const { stage, tasks, input, operations, output } of plan ?? []) {
    print(cli, `\nstage ${stage}: ${tasks} ${tasks === 1 ? 'task' : 'tasks'}`)
    print(cli, `  ${[input, ...operations, output].join(' . ')}`)
  }
  print(cli, '')
  showProfile(cli, seen.profile)
  if (failures === undefined) print(cli, `\nthe ${errors} failed records are in files that cannot be read from here`)
  for (const each of failures ?? []) {
    const place = each.place === undefined ? '' : ` (${each.place})`
    print(cli, `\n${each.code}: ${each.message}${place}`)
    if (each.stack !== undefined) print(cli, each.stack.split('\n').slice(1).join('\n'))
  }
  for (const { id: name, reason, commands } of letters) {
    print(cli, `\nrefused ${name}: ${reason}`)
    for (const parts of commands) print(cli, `  ${parts.join(' ')}`)
  }
}

function showProfile(cli: Cli, { stages }: ExecutionProfile): void {
  const rows = stages.map(({ tasks, done, attempts, in: read, out, bytesIn, bytesOut, ms }, stage) => [
    ...[stage, `${done}/${tasks}`, attempts, read, out, amount(bytesIn, 'bytes'), amount(bytesOut, 'bytes')],
    ...[ms.reader, ms.user, ms.shuffle, ms.sink, ms.waiting].map((each) => Math.round(each)),
  ])
  const times = ['reader ms', 'user ms', 'shuffle ms', 'sink ms', 'waiting ms']
  printTable(cli, ['stage', 'tasks', 'attempts', 'in', 'out', 'read', 'sent', ...times], rows)
}

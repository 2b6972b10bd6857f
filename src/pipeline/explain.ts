// What explain() gives: the stages of a pipeline in words, the same for the same pipeline and input.
import type { Definition } from './define.ts'
import { type Description, type StagedPlan, readersOf } from './plan.ts'
import type { StageSource } from './program.ts'

export interface PlannedStage {
  readonly stage: number
  readonly tasks: number
  /** What the stage reads: a reader's splits, or the merge of what an earlier stage shuffled. */
  readonly input: string
  /** Operations that run as one loop. */
  readonly fused: readonly string[]
  /** Operations that run on columns of bytes, with the operation that ends the stage. */
  readonly columns: readonly string[]
  /** What becomes of the records. */
  readonly output: string
  readonly partitions: number
}

export class Plan {
  readonly stages: readonly PlannedStage[]
  /** Commands that the pipeline sends to the server, but for the engine's own. */
  readonly commands: readonly string[]

  constructor(stages: readonly PlannedStage[], commands: readonly string[]) {
    this.stages = stages
    this.commands = commands
  }

  toJSON(): { readonly stages: readonly PlannedStage[]; readonly commands: readonly string[] } {
    return { stages: this.stages, commands: this.commands }
  }

  toString(): string {
    const lines: string[] = []
    for (const { stage, tasks, input, fused, columns, output } of this.stages) {
      lines.push(`stage ${stage}: ${tasks} ${tasks === 1 ? 'task' : 'tasks'}`)
      lines.push(`  input   ${input}`)
      if (fused.length > 0) lines.push(`  fused   ${fused.join(' . ')}`)
      if (columns.length > 0) lines.push(`  columns ${columns.join(' . ')}`)
      lines.push(`  output  ${output}`)
    }
    lines.push(`server commands: ${this.commands.length === 0 ? 'none' : this.commands.join(', ')}`)
    return lines.join('\n')
  }
}

function definitionsOf({ operations }: Description): Map<string, Definition> {
  const found = new Map<string, Definition>()
  for (const { call } of operations) {
    if (call.other !== undefined) for (const [name, one] of definitionsOf(call.other)) found.set(name, one)
    found.set(call.name, call.definition)
  }
  return found
}

function inputOf(source: StageSource, tasks: number): string {
  const { text } = source.call
  if (source.kind === 'reader') return `${text}, ${tasks} ${tasks === 1 ? 'split' : 'splits'}`
  const { kind, stages } = source
  if (kind === 'cuts') return `samples of stage ${stages[0]}`
  if (kind === 'ranges') return `records of stage ${stages[0]}, ranges of stage ${stages[1]}`
  return `${kind} ${text} of ${stages.length === 1 ? 'stage' : 'stages'} ${stages.join(' and ')}`
}

export function planOf(description: Description, { stages }: StagedPlan): Plan {
  const { sink } = description
  const definitions = definitionsOf(description)
  const planned = stages.map(({ source, local, target, tasks, partitions, text }, stage): PlannedStage => {
    const input = inputOf(source, tasks)
    const names = local.map((step) => step.text)
    const fused = names.slice(0, names.length - (text?.steps ?? 0))
    const columns = names.slice(fused.length)
    return { stage, tasks, input, fused, columns, output: outputOf(target), partitions }

    function outputOf(end: typeof target): string {
      if (end.kind === 'result') return 'result'
      if (end.kind === 'effects') return `${end.call.text}, with the commit of each task`
      if (end.kind === 'publish') return `${end.call.text}, gathered`
      if (end.kind === 'samples') return `records for ${end.call.text}, with samples`
      if (end.kind === 'cuts') return `${end.ranges} ranges for ${end.call.text}`
      if (end.kind === 'shuffle' && end.whole === true) return `${end.call.text}, whole for every task`
      const definition = definitions.get(end.call.name)
      const combined = definition?.kind === 'global' && definition.combines ? ', combined first' : ''
      return `shuffle ${end.call.text} into ${partitions} ${partitions === 1 ? 'partition' : 'partitions'}${combined}`
    }
  })
  const commands = [
    ...readersOf(description).flatMap(({ definition, options }) => definition.commands?.(options) ?? []),
    ...(sink?.call.definition.commands?.(sink.call.options) ?? []),
  ]
  return new Plan(planned, [...new Set(commands)])
}

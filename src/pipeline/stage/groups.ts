// The local steps of a task, as the loops that they run in: a gathering step ends one, and what it gives at the end of its
// input starts the next.
import { PlanError } from '../../errors.ts'
import type { BatchStep, Beside, Gather, Step } from '../define.ts'
import { checkStep } from '../foreign.ts'
import type { StageProgram, StepProgram } from '../program.ts'
import type { StageCalls } from './calls.ts'
import type { StageInput } from './input.ts'

/** A step with what with() gives to its function. */
export interface BoundStep {
  readonly step: Step | BatchStep
  readonly values: unknown
  readonly call: StepProgram
}

export interface Gathering {
  readonly gather: Gather
  readonly values: unknown
  readonly call: StepProgram
}

/** Steps that run in one loop, and the gathering one behind them. */
export interface StepGroup {
  readonly steps: BoundStep[]
  gathering?: Gathering
}

/** What operations made of whole stages, by stage. */
export type PreparedStages = Map<number, Promise<unknown>>

/** The local steps, cut behind each gathering one, with those that the target puts in front of itself. */
export async function groupsOf(
  { source, local, target, text }: StageProgram,
  calls: StageCalls,
  input: StageInput,
  prepared: PreparedStages,
): Promise<StepGroup[]> {
  const groups: StepGroup[] = [{ steps: [] }]
  const current = (): StepGroup => groups.at(-1) as StepGroup
  for (const call of local.slice(0, local.length - (text?.steps ?? 0))) {
    const definition = calls.definition(call, 'local')
    const beside = call.beside === undefined ? undefined : await besideOf(call, call.beside, calls, input, prepared)
    const step = definition.step(call.options, calls.functions(call), calls.context(call), beside)
    if (call.definition !== undefined) checkStep(call, step)
    const values = calls.values(call)
    if (step.shape !== 'gather') current().steps.push({ step, values, call })
    else {
      current().gathering = { gather: step, values, call }
      groups.push({ steps: [] })
    }
  }
  // Records that are sent on to their ranges went through the steps before.
  if (target.kind === 'result' || source.kind === 'ranges' || target.kind === 'cuts') return groups
  const { call } = target
  const isShuffle = target.kind === 'shuffle' || target.kind === 'samples'
  const definition = calls.definition(call, isShuffle ? 'global' : 'sink')
  const side = 'side' in target ? target.side : 0
  for (const step of definition.steps?.(call.options, calls.functions(call), side) ?? []) {
    current().steps.push({ step, values: calls.values(call), call })
  }
  return groups
}

/** A stage as a whole: read once for all tasks of this executor. */
async function besideOf(
  call: StepProgram,
  index: number,
  calls: StageCalls,
  input: StageInput,
  prepared: PreparedStages,
): Promise<Beside> {
  const stage = input.of(index, 0)
  let preparing = prepared.get(index)
  if (preparing === undefined) {
    preparing = calls.definition(call, 'local').prepare?.(call.options, stage, calls.context(call))
    if (preparing === undefined) throw new PlanError('PLAN_OPTION', `${call.name} looks at no other stage`)
    prepared.set(index, preparing)
    // The next attempt tries again.
    preparing.catch(() => prepared.delete(index))
  }
  return { prepared: await preparing, stage }
}

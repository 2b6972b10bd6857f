// window(options): what follows sees the events of one span of time together. Only triggers know what time is: they take the
// call out of the pipeline, and never make a step of it.
import { PlanError } from '../../errors.ts'
import { defineOperation } from '../define.ts'

export interface WindowStep {
  /** Length of a window, in milliseconds. */
  readonly tumbling: number
  /** How much later than its window's end an event may come, in milliseconds of event time. */
  readonly lateMs: number
  /** Whether a function tells an event's time; else it is its arrival. */
  readonly by: boolean
}

export const window = defineOperation({
  kind: 'local',
  name: 'window',
  describe: ({ tumbling }: WindowStep) => `window({ tumbling: ${tumbling} })`,
  step: () => {
    throw new PlanError('PLAN_OPTION', 'window(...) is for pipelines that are registered')
  },
})

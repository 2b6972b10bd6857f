// predict(model, options): batches of records go through an ONNX model. The models of the executor come with the call, as
// what `mill.models` is there.
import { type BatchStep, type Settled, defineOperation } from '../define.ts'

export interface PredictStep {
  readonly model: string
  /** Records that go through the model at a time. */
  readonly batch: number
  /** Whether a function makes the input; else it is the record. */
  readonly input: boolean
}

/** A model for records: executor side. */
export interface Predictor {
  /** Finds the model and loads it. Throws MODEL_UNKNOWN, MODEL_RUNTIME, MODEL_FORMAT, MODEL_OUTPUT. */
  ready(): Promise<void>
  /** Outputs by name for each input, or what was thrown for it. */
  predict(inputs: readonly unknown[]): Promise<readonly Settled[]>
}

interface Predicting {
  predictor(model: string): Predictor
}

type Input = (record: unknown, values?: unknown) => unknown

export const predict = defineOperation({
  kind: 'local',
  name: 'predict',
  most: (records) => records,
  describe: ({ model, batch }: PredictStep) => `predict('${model}', { batch: ${batch} })`,
  step: ({ model, batch }: PredictStep, [models, input]: readonly [Predicting, Input?]): BatchStep => {
    const predictor = models.predictor(model)
    return {
      shape: 'batch',
      size: batch,
      ready: () => predictor.ready(),
      call: (records, values) => predictAll(predictor, records, values, input),
    }
  },
})

async function predictAll(
  predictor: Predictor,
  records: readonly unknown[],
  values: unknown,
  input: Input | undefined,
): Promise<readonly Settled[]> {
  const settled = new Array<Settled>(records.length)
  const inputs: unknown[] = []
  // Of those whose input was made.
  const places: number[] = []
  let isPending = false
  for (let k = 0; k < records.length; k++) {
    const record = records[k]
    try {
      const made = input === undefined ? record : values === undefined ? input(record) : input(record, values)
      isPending ||= typeof (made as { then?: unknown } | null | undefined)?.then === 'function'
      inputs.push(made)
      places.push(k)
    } catch (thrown) {
      settled[k] = { thrown }
    }
  }
  if (isPending) await awaitAll(inputs, places, settled)
  const outputs = await predictor.predict(inputs)
  for (let i = 0; i < outputs.length; i++) {
    const at = places[i] as number
    const output = outputs[i] as Settled
    settled[at] = 'thrown' in output ? output : { value: { record: records[at], output: output.value } }
  }
  return settled
}

/** Puts what promises gave in their place; takes out those that failed. */
async function awaitAll(inputs: unknown[], places: number[], settled: Settled[]): Promise<void> {
  const waited = await Promise.allSettled(inputs)
  const good: number[] = []
  inputs.length = 0
  for (const [i, one] of waited.entries()) {
    const at = places[i] as number
    if (one.status === 'rejected') settled[at] = { thrown: one.reason }
    else {
      inputs.push(one.value)
      good.push(at)
    }
  }
  places.splice(0, places.length, ...good)
}

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
  const places: number[] = []
  for (const [k, record] of records.entries()) {
    try {
      inputs.push(input === undefined ? record : values === undefined ? input(record) : input(record, values))
      places.push(k)
    } catch (thrown) {
      settled[k] = { thrown }
    }
  }
  const waited = await Promise.allSettled(inputs)
  const good = waited.flatMap((one, k) => (one.status === 'fulfilled' ? [k] : []))
  for (const [k, one] of waited.entries()) {
    if (one.status === 'rejected') settled[places[k] as number] = { thrown: one.reason }
  }
  const outputs = await predictor.predict(good.map((k) => (waited[k] as PromiseFulfilledResult<unknown>).value))
  for (const [i, k] of good.entries()) {
    const at = places[k] as number
    const output = outputs[i] as Settled
    settled[at] = 'thrown' in output ? output : { value: { record: records[at], output: output.value } }
  }
  return settled
}

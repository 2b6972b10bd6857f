// Checks what a model is given against what it declares, before the runtime sees it: names, dtypes, shapes.
import { isDtype } from '../codec/dtypes.ts'
import { type Tensor, tensorOf } from '../codec/tensor.ts'
import { ModelError } from '../errors.ts'
import type { ModelSignature, ModelValue } from './onnx-file.ts'

/** What onnxruntime-node has no tensors for. */
const notRun = /^(bfloat16|complex|float8|float4)/

/** `float32 [batch, 4]`, for messages. */
export function describeValue({
  dtype,
  shape,
}: {
  readonly dtype: string
  readonly shape: ModelValue['shape']
}): string {
  if (shape === undefined) return `${dtype} of any shape`
  return `${dtype} [${shape.map((size) => (size === '' ? '?' : size)).join(', ')}]`
}

/** Every input, checked, as tensors. Throws MODEL_INPUT, MODEL_TENSOR. */
export function feedOf(model: string, { inputs }: ModelSignature, given: unknown): Map<string, Tensor> {
  const names = inputs.map(({ name }) => name)
  if (typeof given !== 'object' || given === null || Array.isArray(given) || isTensor(given)) {
    throw new ModelError(
      'MODEL_INPUT',
      `model ${model}: expected { ${names.join(', ')} }, an object of tensors by name`,
    )
  }
  const tensors = given as Readonly<Record<string, unknown>>
  const unknown = Object.keys(tensors).find((name) => !names.includes(name))
  if (unknown !== undefined) {
    throw new ModelError(
      'MODEL_INPUT',
      `model ${model} has no input '${unknown}'; it has ${names.join(', ') || 'none'}`,
    )
  }
  const feed = new Map<string, Tensor>()
  const sizes = new Map<string, number>()
  for (const input of inputs) {
    const where = `input '${input.name}' of model ${model}`
    if (tensors[input.name] === undefined) {
      throw new ModelError('MODEL_INPUT', `${where}: expected ${describeValue(input)}, got nothing`)
    }
    const tensor = tensorOf(tensors[input.name], where)
    checkValue(where, input, tensor, sizes)
    feed.set(input.name, tensor)
  }
  return feed
}

/** `sizes`: those that named dimensions were found to have. */
function checkValue(where: string, expected: ModelValue, got: Tensor, sizes: Map<string, number>): void {
  const { dtype, shape } = expected
  const fits =
    (dtype === 'unknown' || dtype === got.dtype) &&
    (shape === undefined ||
      (shape.length === got.shape.length && shape.every((size, k) => sizeFits(size, got.shape[k]))))
  if (!fits)
    throw new ModelError('MODEL_INPUT', `${where}: expected ${describeValue(expected)}, got ${describeValue(got)}`)
  if (notRun.test(got.dtype))
    throw new ModelError('MODEL_INPUT', `${where}: onnxruntime-node has no tensors of ${got.dtype}`)
  for (const [k, name] of (shape ?? []).entries()) {
    const size = got.shape[k] ?? 0
    if (typeof name === 'number' || name === '') continue
    const before = sizes.get(name) ?? size
    if (before !== size) {
      const message = `${where}: expected ${describeValue(expected)} with ${name} = ${before}, as in another input, got ${describeValue(got)}`
      throw new ModelError('MODEL_INPUT', message)
    }
    sizes.set(name, size)
  }
}

function sizeFits(expected: number | string, got: number | undefined): boolean {
  return typeof expected === 'string' || expected === got
}

export function isTensor(value: object): value is Tensor {
  return 'dtype' in value && isDtype(value.dtype) && 'data' in value
}

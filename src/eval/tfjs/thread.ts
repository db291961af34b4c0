/*
 * The entry of a thread in which TensorFlow.js computes. Its caller waits for each answer without an event loop,
 * so that a session can be called like one of the native engine, though backends start and are read asynchronously.
 */
import { workerData } from 'node:worker_threads';
import { BackendObstacle, isOnGpu, type LoadedBackend, loadBackend } from './backends.ts';
import {
  type Answer,
  type Call,
  type Calls,
  type Greeting,
  type ThreadData,
  wake,
} from './calls.ts';
import { HeldImages, inMemory } from './images.ts';
import type { Tensor } from './tensors.ts';
import { TfjsTraining } from './training.ts';

const { backend, port, signal, onDevice } = workerData as ThreadData;

function answer(message: Answer | Greeting): void {
  port.postMessage(message);
  wake(signal);
}

/** Reads a tensor and frees it. */
async function taken(tensor: Tensor): Promise<Float32Array> {
  const data = await tensor.data();
  tensor.dispose();
  return data as Float32Array;
}

type Handlers = {
  readonly [Name in keyof Calls]: (
    ...args: Parameters<Calls[Name]>
  ) => ReturnType<Calls[Name]> | Promise<ReturnType<Calls[Name]>>;
};

/** What has a number; `what` is said of a number that nothing has. */
function numbered<T>(what: string) {
  const all = new Map<number, T>();
  const at = (id: number): T => {
    const one = all.get(id);
    if (!one) throw new Error(`internal: ${what} is used that is not open`);
    return one;
  };
  return { all, at };
}

function handlersOf({ tf, numerics }: LoadedBackend): Handlers {
  const sessions = numbered<TfjsTraining>('a session');
  const held = numbered<HeldImages>('a source of images');
  const keepsImages = onDevice ?? isOnGpu(numerics);
  const { at } = sessions;
  const training = (id: number, images: Float32Array) =>
    inMemory(tf, images, at(id).imageShapes.train);
  return {
    open: (id, ...what) => void sessions.all.set(id, new TfjsTraining(tf, ...what)),
    load: (id, parameters) => at(id).load(parameters),
    parameters: async (id) => (await at(id).parameters.data()) as Float32Array,
    train: async (id, images, ...more) =>
      (await taken(at(id).step(training(id, images), ...more)))[0]!,
    hold: (id, source) => void held.all.set(id, new HeldImages(tf, source, keepsImages)),
    release: (id) => {
      held.at(id).dispose();
      held.all.delete(id);
    },
    // Nothing is read until the last step is on its way, for which a GPU would stand still.
    trainSteps: (id, source, augmentation, steps) =>
      taken(
        tf.tidy(() =>
          tf.stack(
            steps.map(({ draws, learningRate }) => {
              const { images, labels } = held.at(source).batch(draws, augmentation);
              return at(id).step(images, labels, learningRate);
            }),
          ),
        ),
      ),
    gradients: async (id, images, labels) => {
      const { loss, gradients } = at(id).gradients(training(id, images), labels);
      return { loss: (await taken(loss))[0]!, gradients: await taken(gradients) };
    },
    logits: (id, images, count) =>
      taken(at(id).logits(inMemory(tf, images, at(id).imageShapes.whole), count)),
    logitsOfFirst: (id, count, source) => taken(at(id).logits(held.at(source).whole, count)),
    close: (id) => {
      at(id).close();
      sessions.all.delete(id);
    },
    memory: () => {
      const { numTensors, numBytes } = tf.memory();
      return { tensors: numTensors, bytes: numBytes };
    },
  };
}

/** Faults that a device reports when it likes: the next answer tells of them. */
let fault: Error | null = null;
process.on('uncaughtException', (error) => {
  fault ??= error;
});

async function answerTo(handlers: Handlers, [name, ...args]: Call): Promise<Answer> {
  try {
    const value = await (handlers[name] as (...args: unknown[]) => unknown)(...args);
    if (fault) throw fault;
    return { value };
  } catch (error) {
    return { error: error instanceof Error ? error.message : String(error) };
  }
}

try {
  const loaded = await loadBackend(backend);
  const handlers = handlersOf(loaded);
  port.on('message', async (call: Call) => answer(await answerTo(handlers, call)));
  answer({ numerics: loaded.numerics });
} catch (error) {
  if (error instanceof BackendObstacle) answer({ obstacle: error.obstacle });
  // Nobody hears an exception here: the caller waits.
  else answer({ failure: error instanceof Error ? error.message : String(error) });
}

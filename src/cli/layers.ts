import { existsSync } from 'node:fs';
import type { Store } from '../../db/store.ts';
import { layerOf } from '../graph/genome.ts';
import { isId, type NamedLayer, namedLayer } from '../reading/layers.ts';
import { reading } from '../reading/open.ts';
import { isLayerPath, type LayerFile, readLayerFile } from './layer-file.ts';

/** A layer that the user named. */
export interface GivenLayer extends NamedLayer {
  /** What its file says of it, where it was named by one. */
  readonly file?: LayerFile;
}

/** Finds the layer that `text` names: by id, by its name in the zoo, by a formula, or by a file of JSON. */
export const findLayer = (text: string, db: string): GivenLayer =>
  isId(text) ? reading(db, (store) => findLayerIn(store, text)) : findLayerIn(null, text);

/** Answers a question about layers from the database, which must be there where one is named by its id. */
export const readingLayers = <T>(
  texts: readonly string[],
  db: string,
  ask: (store: Store | null) => T,
): T => (texts.some(isId) || existsSync(db) ? reading(db, ask) : ask(null));

/** The same in an open database; without one a layer cannot be named by its id. */
export const findLayerIn = (store: Store | null, text: string): GivenLayer =>
  !isId(text) && isLayerPath(text) ? fromFile(readLayerFile(text)) : namedLayer(store, text);

export const fromFile = (file: LayerFile): GivenLayer => ({
  genome: file.genome,
  layer: layerOf(file.genome),
  candidate: null,
  file,
});

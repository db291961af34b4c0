import { FILL_STANDINGS } from './standings.ts';

/**
 * The schema, as numbered steps: step i takes a database of version i to version i + 1. Steps that were
 * released are never edited; a change is a new step.
 *
 * A candidate's row says what its run saw: it alone, with the rows before it, decides how the run goes on.
 * `evaluations` and `rejections` are the cache that all runs share; each row names the candidate that caused
 * it. Ids of candidates only ever grow, so that "what was there when the run began" is a comparison.
 */
export const MIGRATIONS: readonly string[] = [
  `
  CREATE TABLE protocols (
    key TEXT PRIMARY KEY,
    protocol TEXT NOT NULL
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE runs (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    started TEXT NOT NULL,
    config TEXT NOT NULL,
    protocol_key TEXT NOT NULL REFERENCES protocols (key),
    -- The last candidate of other runs that this one knows of, with its evaluation.
    horizon INTEGER NOT NULL,
    seconds REAL NOT NULL DEFAULT 0,
    -- How the last session ended; null while it lasts and where it was killed.
    stopped TEXT
  ) STRICT;

  CREATE TABLE candidates (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    run INTEGER NOT NULL REFERENCES runs (id),
    -- Proposals count from 0; baselines stand before them, at negative indices.
    idx INTEGER NOT NULL,
    genome TEXT NOT NULL,
    structural_key TEXT NOT NULL,
    -- Null where the probe rejected it.
    functional_key TEXT,
    origin TEXT NOT NULL CHECK (origin IN ('random', 'mutation', 'baseline')),
    parent INTEGER,
    baseline TEXT,
    -- The key by which something earlier was recognised in it.
    tier TEXT CHECK (tier IN ('structural', 'functional')),
    -- Which evaluation of its function this candidate caused, counted from 0; null where it caused none.
    repeat INTEGER,
    outcome TEXT NOT NULL,
    numbers TEXT NOT NULL,
    fitness REAL,
    CHECK ((parent IS NOT NULL) = (origin = 'mutation')),
    CHECK ((baseline IS NOT NULL) = (origin = 'baseline')),
    CHECK ((fitness IS NOT NULL) = (outcome = 'evaluated'))
  ) STRICT;
  CREATE UNIQUE INDEX candidates_by_index ON candidates (run, idx);
  CREATE INDEX candidates_by_structure ON candidates (structural_key);
  CREATE INDEX candidates_by_function ON candidates (functional_key, run, idx)
    WHERE functional_key IS NOT NULL;
  CREATE INDEX candidates_by_outcome
    ON candidates (run, outcome, idx, functional_key, tier, repeat, fitness);

  CREATE TABLE evaluations (
    protocol_key TEXT NOT NULL REFERENCES protocols (key),
    functional_key TEXT NOT NULL,
    -- With the two keys it decides the seed.
    repeat INTEGER NOT NULL,
    -- Of the anchor, in the protocol's order.
    position INTEGER NOT NULL,
    anchor TEXT NOT NULL,
    accuracy REAL NOT NULL,
    -- Null where it is not a number.
    loss REAL,
    steps INTEGER NOT NULL,
    seconds REAL NOT NULL,
    candidate INTEGER NOT NULL REFERENCES candidates (id),
    at TEXT NOT NULL,
    PRIMARY KEY (protocol_key, functional_key, repeat, position)
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE rejections (
    protocol_key TEXT NOT NULL REFERENCES protocols (key),
    functional_key TEXT NOT NULL,
    repeat INTEGER NOT NULL,
    outcome TEXT NOT NULL,
    numbers TEXT NOT NULL,
    seconds REAL NOT NULL,
    -- 0 where another attempt may end otherwise (timeout, crash): other runs do not rely on it.
    lasting INTEGER NOT NULL,
    candidate INTEGER NOT NULL REFERENCES candidates (id),
    at TEXT NOT NULL,
    PRIMARY KEY (protocol_key, functional_key, candidate)
  ) STRICT, WITHOUT ROWID;
  `,
  `
  -- One row for each time that somebody worked on a run.
  CREATE TABLE sessions (
    run INTEGER NOT NULL REFERENCES runs (id),
    -- From 1.
    number INTEGER NOT NULL,
    started TEXT NOT NULL,
    -- Null while it lasts and where it was killed.
    ended TEXT,
    -- Brought up to date by every commit.
    seconds REAL NOT NULL DEFAULT 0,
    workers INTEGER NOT NULL,
    stopped TEXT CHECK (stopped IN ('finished', 'interrupted', 'failed')),
    -- Why, in words.
    detail TEXT,
    PRIMARY KEY (run, number),
    CHECK ((ended IS NOT NULL) = (stopped IS NOT NULL)),
    CHECK (detail IS NULL OR stopped IS NOT NULL)
  ) STRICT, WITHOUT ROWID;

  -- What went wrong and did not end the run. No decision depends on it.
  CREATE TABLE faults (
    id INTEGER PRIMARY KEY,
    run INTEGER NOT NULL REFERENCES runs (id),
    -- The proposal that was evaluated; null where it concerned none.
    idx INTEGER,
    at TEXT NOT NULL,
    kind TEXT NOT NULL,
    message TEXT NOT NULL
  ) STRICT;
  CREATE INDEX faults_by_run ON faults (run);

  -- The number of proposals became one of several conditions that stop a run.
  UPDATE runs SET config =
    json_set(json_remove(config, '$.proposals'), '$.stop.proposals', json_extract(config, '$.proposals'))
  WHERE json_type(config, '$.proposals') IS NOT NULL;
  `,
  `
  -- What leaderboards sort and filter by; see standings.ts.
  CREATE TABLE standings (
    protocol_key TEXT NOT NULL REFERENCES protocols (key),
    functional_key TEXT NOT NULL,
    -- Mean over anchors and evaluations.
    fitness REAL NOT NULL,
    -- Means over the evaluations, as a JSON array in the protocol's order of anchors.
    accuracies TEXT NOT NULL,
    evaluations INTEGER NOT NULL,
    -- When it was scored first.
    since TEXT NOT NULL,
    -- Live nodes of its first spelling.
    nodes INTEGER NOT NULL,
    batch_independent INTEGER NOT NULL,
    PRIMARY KEY (protocol_key, functional_key)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX standings_by_fitness ON standings (protocol_key, fitness DESC, functional_key);
  ${FILL_STANDINGS};

  CREATE INDEX candidates_by_baseline ON candidates (functional_key, run, idx, baseline)
    WHERE baseline IS NOT NULL;

  -- A candidate may have caused several evaluations now, each of which may have ended in a rejection.
  ALTER TABLE rejections RENAME TO old_rejections;
  CREATE TABLE rejections (
    protocol_key TEXT NOT NULL REFERENCES protocols (key),
    functional_key TEXT NOT NULL,
    repeat INTEGER NOT NULL,
    outcome TEXT NOT NULL,
    numbers TEXT NOT NULL,
    seconds REAL NOT NULL,
    -- 0 where another attempt may end otherwise (timeout, crash): other runs do not rely on it.
    lasting INTEGER NOT NULL,
    candidate INTEGER NOT NULL REFERENCES candidates (id),
    at TEXT NOT NULL,
    PRIMARY KEY (protocol_key, functional_key, candidate, repeat)
  ) STRICT, WITHOUT ROWID;
  INSERT INTO rejections SELECT * FROM old_rejections;
  DROP TABLE old_rejections;
  `,
  `
  -- 1 for a run that was deleted, of which only that is left which other runs rely on; see prune.ts.
  ALTER TABLE runs ADD COLUMN remnant INTEGER NOT NULL DEFAULT 0;
  -- The evaluations that a candidate caused.
  CREATE INDEX evaluations_by_candidate ON evaluations (candidate);
  CREATE INDEX rejections_by_candidate ON rejections (candidate);
  `,
  `
  -- What is known of a structure, for the run itself and for other runs in order of age. Without the run in
  -- an index, a run that goes on would step over all that later runs know of it.
  DROP INDEX candidates_by_structure;
  CREATE INDEX candidates_by_structure ON candidates (structural_key)
    WHERE outcome <> 'batch-dependent';
  CREATE INDEX candidates_by_run_and_structure ON candidates (run, structural_key)
    WHERE outcome <> 'batch-dependent';
  `,
  `
  -- How many evaluations of its function the outcome is the mean of, or rests on where it is a rejection;
  -- null where it has no function.
  ALTER TABLE candidates ADD COLUMN evaluations INTEGER;
  UPDATE candidates SET evaluations = 1 WHERE functional_key IS NOT NULL;
  -- The evaluations that a run caused of a function.
  CREATE INDEX candidates_by_evaluation ON candidates (functional_key, run, idx, repeat)
    WHERE repeat IS NOT NULL;

  -- Of the coordinating thread: seconds spent on the keys of proposals, and how often that took a probe.
  ALTER TABLE sessions ADD COLUMN screening REAL NOT NULL DEFAULT 0;
  ALTER TABLE sessions ADD COLUMN probes INTEGER NOT NULL DEFAULT 0;
  -- Draws that were not proposed: children that computed what their parent does, and genomes that computed
  -- what the run had proposed too often.
  ALTER TABLE sessions ADD COLUMN neutral INTEGER NOT NULL DEFAULT 0;
  ALTER TABLE sessions ADD COLUMN tabu INTEGER NOT NULL DEFAULT 0;

  -- Evaluations that only check what a cache says. No decision depends on them.
  CREATE TABLE audits (
    candidate INTEGER PRIMARY KEY REFERENCES candidates (id),
    kind TEXT NOT NULL CHECK (kind IN ('hit')),
    functional_key TEXT NOT NULL,
    protocol_key TEXT NOT NULL REFERENCES protocols (key),
    outcome TEXT NOT NULL,
    numbers TEXT NOT NULL,
    seconds REAL NOT NULL,
    at TEXT NOT NULL
  ) STRICT;

  -- What runs did before there was a choice.
  UPDATE runs SET config = json_set(config,
    '$.cache', json('{"by":"function","mantissaBits":20,"evaluations":1,"forget":0,"capacity":10000000,"shared":true,"audit":0}'),
    '$.functionalChange', 0,
    '$.tabu', json('{"limit":0,"attempts":10}'))
  WHERE json_type(config, '$.cache') IS NULL;
  `,
  `
  -- Training that compares layers after a search, apart from what searches know: the same seed gives all
  -- layers the same batches.
  CREATE TABLE trials (
    protocol_key TEXT NOT NULL REFERENCES protocols (key),
    functional_key TEXT NOT NULL,
    seed INTEGER NOT NULL,
    outcome TEXT NOT NULL,
    numbers TEXT NOT NULL,
    seconds REAL NOT NULL,
    at TEXT NOT NULL,
    PRIMARY KEY (protocol_key, functional_key, seed)
  ) STRICT, WITHOUT ROWID;

  -- What the trials said of a function that a run found: against the known layer that came closest.
  CREATE TABLE confirmations (
    run INTEGER NOT NULL REFERENCES runs (id),
    functional_key TEXT NOT NULL,
    confirmed INTEGER NOT NULL CHECK (confirmed IN (0, 1)),
    verdict TEXT NOT NULL,
    at TEXT NOT NULL,
    PRIMARY KEY (run, functional_key)
  ) STRICT, WITHOUT ROWID;
  `,
  `
  -- Rejections are audited as well as hits.
  ALTER TABLE audits RENAME TO old_audits;
  CREATE TABLE audits (
    candidate INTEGER PRIMARY KEY REFERENCES candidates (id),
    kind TEXT NOT NULL CHECK (kind IN ('hit', 'rejection')),
    functional_key TEXT NOT NULL,
    -- The run's; the audit of a rejection trains without its early tests.
    protocol_key TEXT NOT NULL REFERENCES protocols (key),
    outcome TEXT NOT NULL,
    numbers TEXT NOT NULL,
    seconds REAL NOT NULL,
    at TEXT NOT NULL
  ) STRICT;
  INSERT INTO audits SELECT * FROM old_audits;
  DROP TABLE old_audits;

  -- What runs did before there was a choice.
  UPDATE runs SET config = json_set(config, '$.rejectionAudit', 0)
  WHERE json_type(config, '$.rejectionAudit') IS NULL;
  `,
  `
  -- What the stability test measured, for evaluations that passed one on this anchor: the gradient's norm in the
  -- end, the greatest one, and after how many steps that was met.
  ALTER TABLE evaluations ADD COLUMN gradient_norm REAL;
  ALTER TABLE evaluations ADD COLUMN greatest_norm REAL;
  ALTER TABLE evaluations ADD COLUMN greatest_at INTEGER;
  `,
  `
  -- The losses of the training on this anchor; see curves.ts. Null for evaluations of versions that kept none.
  ALTER TABLE evaluations ADD COLUMN curve BLOB;
  `,
];

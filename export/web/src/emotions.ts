/**
 * The eight emotions as in `keras_affect/emotions.py`: names in the models' order, colours of Okabe
 * and Ito, and the mean (valence, arousal) that people gave each word (Russell and Mehrabian 1977).
 * `tests/demo/test_web.py` compares them.
 */
export interface Emotion {
  readonly name: string;
  readonly color: string;
  readonly valence: number;
  readonly arousal: number;
}

export const EMOTIONS: readonly Emotion[] = [
  { name: "neutral", color: "#000000", valence: 0, arousal: 0 },
  { name: "happiness", color: "#E69F00", valence: 0.81, arousal: 0.51 },
  { name: "surprise", color: "#56B4E9", valence: 0.4, arousal: 0.67 },
  { name: "sadness", color: "#0072B2", valence: -0.63, arousal: -0.27 },
  { name: "anger", color: "#D55E00", valence: -0.51, arousal: 0.59 },
  { name: "disgust", color: "#009E73", valence: -0.6, arousal: 0.35 },
  { name: "fear", color: "#CC79A7", valence: -0.64, arousal: 0.6 },
  { name: "contempt", color: "#F0E442", valence: -0.555, arousal: 0.47 },
];

/** The colour of an emotion; neutral's black is the text's own colour, to be seen on dark too. */
export function colorOf(name: string): string {
  const emotion = EMOTIONS.find((one) => one.name === name);
  return emotion === undefined || emotion.name === "neutral" ? "var(--text)" : emotion.color;
}

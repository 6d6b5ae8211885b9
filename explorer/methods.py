"""The paragraph and the BibTeX that a paper needs for exactly what a study ran."""
from explorer.study import Study, short_name

BIBTEX = {
    "durrani-etal-2021": """@inproceedings{durrani-etal-2021,
  title = {How transfer learning impacts linguistic knowledge in deep {NLP} models?},
  author = {Durrani, Nadir and Sajjad, Hassan and Dalvi, Fahim},
  booktitle = {Findings of the Association for Computational Linguistics: ACL-IJCNLP 2021},
  year = {2021}, note = {arXiv:2105.15179}
}""",
    "dalvi-etal-2019": """@inproceedings{dalvi-etal-2019,
  title = {What Is One Grain of Sand in the Desert? {A}nalyzing Individual Neurons in Deep {NLP} Models},
  author = {Dalvi, Fahim and Durrani, Nadir and Sajjad, Hassan and Belinkov, Yonatan and Bau, Anthony and Glass, James},
  booktitle = {Proceedings of the AAAI Conference on Artificial Intelligence},
  year = {2019}, note = {arXiv:1812.09355}
}""",
    "hewitt-liang-2019": """@inproceedings{hewitt-liang-2019,
  title = {Designing and Interpreting Probes with Control Tasks},
  author = {Hewitt, John and Liang, Percy},
  booktitle = {Proceedings of EMNLP-IJCNLP 2019}, year = {2019}, note = {arXiv:1909.03368}
}""",
    "voita-titov-2020": """@inproceedings{voita-titov-2020,
  title = {Information-Theoretic Probing with Minimum Description Length},
  author = {Voita, Elena and Titov, Ivan},
  booktitle = {Proceedings of EMNLP 2020}, year = {2020}, note = {arXiv:2003.12298}
}""",
    "efron-tibshirani-1993": """@book{efron-tibshirani-1993,
  title = {An Introduction to the Bootstrap}, author = {Efron, Bradley and Tibshirani, Robert J.},
  publisher = {Chapman \\& Hall}, year = {1993}
}""",
    "westfall-young-1993": """@book{westfall-young-1993,
  title = {Resampling-Based Multiple Testing}, author = {Westfall, Peter H. and Young, S. Stanley},
  publisher = {Wiley}, year = {1993}
}""",
}


def paragraph(study: Study) -> str:
    """What was run, in sentences made from the study's spec alone; citations are keys of bibtex()."""
    return " ".join([_data(study), _activations(study), *_tuning(study), _probes(study), *_controls(study),
                     _intervals(study), _software(study)])


def bibtex(study: Study) -> str:
    """The entries that the paragraph cites."""
    text = paragraph(study)
    return "\n\n".join(entry for key, entry in BIBTEX.items() if key in text)


def _data(study: Study) -> str:
    request, sizes = study.request, study.made.get("sizes", {})
    parts = ", ".join(f"{split} {size['sentences']:,} sentences ({size['words']:,} words)"
                      for split, size in sizes.items())
    labels = f" ({study.made['labels']} labels)" if "labels" in study.made else ""
    return (f"Following Durrani et al. [durrani-etal-2021], we probed {short_name(request.base)} before fine-tuning "
            f"and after it, as {', '.join(map(short_name, request.finetuned))}, for the property "
            f"{request.corpus.property}{labels} on {short_name(request.corpus.train)}{': ' + parts if parts else ''}.")


def _activations(study: Study) -> str:
    model = study.made.get("models", {}).get(study.base)
    shape = f" ({model['layers']} layers of {model['width']} neurons, layer 0 the embeddings)" if model else ""
    word = {"last": "its last sub-word", "first": "its first sub-word", "mean": "the mean of its sub-words"}
    return f"A word's activations{shape} are those of {word[study.request.pooling]}."


def _tuning(study: Study) -> list[str]:
    found = study.made.get("tuning", {})
    return [f"{short_name(name)} is step {facts['step']:,} of {_count(facts.get('steps'))} of fine-tuning on "
            f"{facts.get('task', '?')} ({_count(facts.get('train_rows'))} training rows, learning rate "
            f"{facts.get('learning_rate', '?')}, batches of {facts.get('batch_size', '?')}, seed "
            f"{facts.get('seed', '?')})." for name, facts in found.items()]


def _count(number: int | None) -> str:
    return "?" if number is None else f"{number:,}"


def _probes(study: Study) -> str:
    probe, k = study.request.probe, study.spec.k
    strength = f"chosen on dev among {', '.join(f'{l2:g}' for l2 in probe.l2_grid)}" if probe.l2_grid else \
        f"{probe.l2:g}"
    outliers = ", neurons over 6 standard deviations from their layer's mean left out" if probe.drop_outliers else ""
    solver = "OWL-QN" if probe.l1 else "L-BFGS"
    return (f"Probes are multinomial logistic regressions on {'standardised' if probe.standardise else 'raw'} "
            f"activations{outliers}, with L2 penalty {strength} and L1 penalty {probe.l1:g}, solved by {solver} to a "
            f"gradient of {probe.tolerance:g}; the optimum is unique and depends on no seed. For each of "
            f"{len(k)} numbers of neurons from {k[0]} to {k[-1]}, a probe was fitted on the neurons of a layer that "
            f"rank first by Linguistic Correlation Analysis [dalvi-etal-2019] of the whole layer's probe, in its exact "
            f"limit. Words whose label does not occur in training count as errors.")


def _controls(study: Study) -> list[str]:
    seed, found = study.request.probe.seed, []
    if study.spec.control:
        found.append(f"Selectivity is accuracy minus that of a probe on the same neurons for a control task "
                     f"[hewitt-liang-2019] with labels drawn per word form from the training distribution (seed "
                     f"{seed}), at k = {', '.join(map(str, study.spec.control))}.")
    if study.spec.description:
        found.append(f"Description length is by online coding [voita-titov-2020] in blocks ending at 0.1, 0.2, 0.4, "
                     f"0.8, 1.6, 3.2, 6.25, 12.5, 25, 50 and 100 % of the training words (order by seed {seed}).")
    return found


def _intervals(study: Study) -> str:
    return (f"Intervals hold 95 %: percentiles of a paired bootstrap [efron-tibshirani-1993] over test sentences "
            f"(2,000 resamples, seed {study.request.probe.seed}); those over all layers at once are max-T "
            f"[westfall-young-1993].")


def _software(study: Study) -> str:
    versions = study.made.get("versions", {})
    used = ", ".join(f"{name} {version}" for name, version in versions.items())
    return f"Study {study.key}, {study.created[:10]}{'; ' + used if used else ''}."

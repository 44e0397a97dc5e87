"""A small entry after the description of the organisers' example: random forests on age, sex and RMS of leads."""

from __future__ import annotations

import os

import joblib
import numpy as np
from sklearn.ensemble import RandomForestClassifier
from sklearn.impute import SimpleImputer

from helper_code import (
    find_challenge_files,
    get_adc_gains,
    get_age,
    get_baselines,
    get_labels,
    get_leads,
    get_sex,
    load_header,
    load_recording,
)

LEAD_SETS = (
    ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6"),
    ("I", "II", "III", "aVR", "aVL", "aVF"), ("I", "II", "III", "V2"), ("I", "II", "V2"), ("I", "II"),
)  # fmt: skip


def training_code(data_directory, model_directory):
    """Trains a forest for each lead set."""
    header_files, recording_files = find_challenge_files(data_directory)
    if not recording_files:
        raise Exception("No data was provided.")
    os.makedirs(model_directory, exist_ok=True)
    headers = [load_header(file) for file in header_files]
    classes = sorted({code for header in headers for code in get_labels(header)})
    pairs = zip(headers, recording_files, strict=True)
    data = np.array([get_features(header, load_recording(file), LEAD_SETS[0]) for header, file in pairs])
    labels = np.array([[code in get_labels(header) for code in classes] for header in headers], dtype=int)
    for leads in LEAD_SETS:
        columns = [*(LEAD_SETS[0].index(lead) for lead in leads), 12, 13]
        imputer = SimpleImputer().fit(data[:, columns])
        forest = RandomForestClassifier(n_estimators=30, max_leaf_nodes=100, random_state=0)
        forest.fit(imputer.transform(data[:, columns]), labels)
        joblib.dump((classes, leads, imputer, forest), os.path.join(model_directory, f"{'-'.join(leads)}.sav"))


def load_model(model_directory, leads):
    """The forest of a lead set."""
    return joblib.load(os.path.join(model_directory, f"{'-'.join(leads)}.sav"))


def run_model(model, header, recording):
    """Classes, labels and probabilities of a recording."""
    classes, leads, imputer, forest = model
    features = imputer.transform(get_features(header, recording, leads).reshape(1, -1))
    labels = np.asarray(forest.predict(features), dtype=int).reshape(-1)
    shares = [forest.predict_proba(features)] if len(classes) == 1 else forest.predict_proba(features)
    known = forest.classes_ if len(classes) > 1 else [forest.classes_]
    probabilities = [float(p[0, list(k).index(1)]) if 1 in k else 0.0 for p, k in zip(shares, known, strict=True)]
    return classes, labels.tolist(), probabilities


def get_features(header, recording, leads):
    """RMS in millivolts of each lead, age, sex (1: female, 0: male, NaN: unknown)."""
    sex = {"Female": 1.0, "female": 1.0, "F": 1.0, "f": 1.0, "Male": 0.0, "male": 0.0, "M": 0.0, "m": 0.0}
    rows = [get_leads(header).index(lead) for lead in leads]
    gains, baselines = get_adc_gains(header, leads), get_baselines(header, leads)
    with np.errstate(divide="ignore", invalid="ignore"):
        signal = (recording[rows] - baselines[:, None]) / gains[:, None]
        rms = np.sqrt(np.mean(signal**2, axis=1))
    return np.array([*rms, get_age(header), sex.get(get_sex(header), np.nan)])

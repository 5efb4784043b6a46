"""From training to answers, cell by cell (# %% is a notebook's cell in VS Code, PyCharm and Spyder).

Needs a server (make run), the command line (make build) and pip install 'scry-client[export]'. SCRY_SERVER and SCRY say
where they are, if not at localhost:8001 and on the path.
"""

# %% Data: tumours, by measurements of cell nuclei. A fifth is kept for the end.
import os
import subprocess

from sklearn.compose import make_column_transformer
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline

import scry

data = load_breast_cancer(as_frame=True)
X = data.data[[name for name in data.data if name.startswith("mean")]]
y = data.target.map(dict(enumerate(data.target_names))).rename("malignancy")
X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.2, random_state=0, stratify=y)

# %% Train. Missing measurements are imputed by the pipeline, so the server need not know how.
pipeline = make_pipeline(
    make_column_transformer((SimpleImputer(strategy="median"), list(X))), RandomForestClassifier(100, min_samples_leaf=3, random_state=0))
pipeline.fit(X_train, y_train)

# %% Export. The classes are not 0/1, No/Yes or False/True, so export asks which one is the event.
exported = scry.export(pipeline, X_train, y_train, "malignancy", positive="malignant", license="BSD-3-Clause",
                       description="Probability that a tumour is malignant.",
                       data=["Breast Cancer Wisconsin (Diagnostic), as in scikit-learn, CC-BY-4.0"])
print(exported)


# %% Push: the server runs the bundle's golden samples before it makes a version of it. Nothing is routed to it yet.
def command(*arguments):
    print(subprocess.run([os.environ.get("SCRY", "scry"), *arguments], check=True, stdout=subprocess.PIPE, text=True).stdout)


command("push", "malignancy", "--wait")

# %% Evaluate that version on rows that training has not seen, with intervals and curves. Once another version answers calls,
# this one is measured beside it, and `--slice "mean radius"` would look for those it serves badly.
X_test.assign(malignancy=y_test).to_csv("unseen.csv", index=False)
command("eval", "malignancy@latest", "unseen.csv", "--target", "malignancy", "--positive", "malignant", "--plot", "malignancy.svg")

# %% What it answers is a DataFrame, for whatever else is to be looked at: how many of each band were malignant?
client = scry.connect(os.environ.get("SCRY_SERVER", "localhost:8001"))
client.wait_ready()
answers = client.score("malignancy", X_test, version="latest")
print(answers.groupby("malignancy_band", observed=False).apply(lambda part: (y_test[part.index] == "malignant").mean()))

# %% Activate: from now on it answers calls that name no version. `scry rollback malignancy` would go back.
command("activate", "malignancy@latest")

# %% Score. Columns may be missing where the pipeline imputes them; bad rows fail alone.
rows = X_test.head(3).drop(columns="mean texture")
print(client.score("malignancy", rows)[["malignancy", "malignancy_predicted", "malignancy_percentile", "malignancy_band"]])
for result in client.score("malignancy", [{"mean radius": 20.1}, {"mean radius": "large"}], errors="return"):
    print(result.error.message or result.heads["malignancy"].probability.probability)
client.close()

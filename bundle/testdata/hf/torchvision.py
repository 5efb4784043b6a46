import torchvision
from torchvision.models import list_models, get_model_weights
code={"nearest":0,"lanczos":1,"bilinear":2,"bicubic":3}
rows=[];defaults=[]
for n in list_models(module=torchvision.models):
    W=get_model_weights(n)
    for w in W:
        t=w.transforms()
        if "FEATURES" in str(w): continue
        assert len(t.resize_size)==1 and len(t.crop_size)==1
        half = tuple(t.mean)==(.5,.5,.5)
        assert half or (tuple(t.mean)==(0.485,0.456,0.406) and tuple(t.std)==(0.229,0.224,0.225)), w
        rows.append((str(w),t.resize_size[0],t.crop_size[0],code[t.interpolation.value],half))
    defaults.append((n,str(W.DEFAULT)))
groups={}
for r in rows: groups.setdefault(r[1:],[]).append(r[0])
out=["package bundle","","import \"strings\"","","// preset is how torchvision's weights want pictures: the shorter side resized,","// the middle cut out.","type preset struct {","\tresize, crop int32","\tfilter       int  // Pillow's code","\thalves       bool // mean and std are 0.5 and not ImageNet's","}","",
"// torchvisionPresets are those of torchvision "+torchvision.__version__.split("+")[0]+" by the names of weights;","// bundle/testdata/hf/torchvision.py writes this file.","var torchvisionPresets = presets(map[preset]string{"]
import textwrap
for k,v in groups.items():
    names=" ".join(sorted(v))
    lines=textwrap.wrap(names,130,break_long_words=False)
    out.append("\t{%d, %d, %d, %s}: %s,"%(k[0],k[1],k[2],str(k[3]).lower()," +\n\t\t".join('"%s"'%(l+(" " if i<len(lines)-1 else "")) for i,l in enumerate(lines))))
out+=["})","","// torchvisionDefaults are the weights that a model's name stands for.","var torchvisionDefaults = map[string]string{"]
for n,w in defaults: out.append('\t"%s": "%s",'%(n,w))
out+=["}","","func presets(names map[preset]string) map[string]preset {","\tbyName := map[string]preset{}","\tfor p, list := range names {","\t\tfor _, name := range strings.Fields(list) {","\t\t\tbyName[name] = p","\t\t}","\t}","\treturn byName","}",""]
import sys
open(sys.argv[1],"w").write("\n".join(out))
